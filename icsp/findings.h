/*
 * Findings: everything the compiler has to say, each about one place of one file, with the rule
 * behind it and the way out. The command line prints them for people or for machines; the rules are
 * listed in docs/report-format.md.
 *
 * Threads: plain values.
 */
#ifndef ICSP_FINDINGS_H
#define ICSP_FINDINGS_H

#include <stddef.h>

#include <jansson.h>

#include "base/error.h"

enum icsp_severity {
    ICSP_DETAIL,  /* for the curious */
    ICSP_NOTE,    /* worth knowing */
    ICSP_WARNING, /* written, but look */
    ICSP_ERROR,   /* rejected; nothing is written */
};

/* One thing to say about one place. What does not apply is NULL. All strings are owned. */
struct icsp_finding {
    enum icsp_severity severity;
    char *rule;    /* "list-entry": for programs; never changes its meaning */
    char *object;  /* "Image/cluster", "ImagePolicy/NAMESPACE/NAME" */
    char *field;   /* "spec.registrySources.blockedRegistries[2]" */
    char *value;   /* what stands there, or what is missing there */
    char *file;    /* that the object came from */
    unsigned line; /* of the value, or of what should hold it; 0: not known */
    char *text;    /* the rule and what follows from it */
    char *hint;    /* the way out, in the imperative */
};

struct icsp_findings {
    struct icsp_finding *items;
    size_t count, capacity;
};

void icsp_findings_release(struct icsp_findings *findings);
#define auto_findings __attribute__((cleanup(icsp_findings_release))) struct icsp_findings

/** "FILE:LINE: OBJECT: FIELD: "VALUE": TEXT", one line; the caller frees. */
char *icsp_finding_format(const struct icsp_finding *finding);

/** Append an error that has no object: the text could not be read. A text that begins with
 * "FILE:LINE:COLUMN: ", where file is the given one, is taken apart. */
void icsp_findings_add_error(struct icsp_findings *findings, const char *file,
                             const struct mir_error *err);

/** All of them as {"version": 1, "rejected": BOOL, "errors": N, "warnings": N, "findings": [...]};
 * the caller owns it. */
json_t *icsp_findings_json(const struct icsp_findings *findings);

#endif
