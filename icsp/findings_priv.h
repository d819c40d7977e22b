/*
 * Saying something about one place of one object.
 */
#ifndef ICSP_FINDINGS_PRIV_H
#define ICSP_FINDINGS_PRIV_H

#include "base/tree.h"
#include "icsp/findings.h"

/* One object, and how to find the line of what is in it. */
struct icsp_origin {
    char *name;       /* "Image/cluster"; owned; NULL before it is known */
    const char *file; /* borrowed */
    json_t *tree;     /* borrowed; may be NULL */
    unsigned line;    /* on which it begins; 0: not known */
    const struct mir_lines *lines;
};

/* Where: any of these may be NULL. Borrowed. */
struct icsp_place {
    const struct icsp_origin *object;
    const char *label; /* instead of an object: an option, a kind */
    const char *field; /* "spec.imageDigestMirrors[0].source"; of a list or an object, its member
                          that is value is found */
    const char *value;
    const char *rule; /* listed in docs/report-format.md */
};

/** Append a note or a warning. hint may be NULL. */
void icsp_say(struct icsp_findings *findings, enum icsp_severity severity, struct icsp_place place,
              const char *hint, const char *fmt, ...) MIR_PRINTF(5, 6);

/** Append an error and set err to the same words. Returns false. */
bool icsp_reject(struct icsp_findings *findings, struct mir_error *err, enum mir_code code,
                 struct icsp_place place, const char *hint, const char *fmt, ...) MIR_PRINTF(6, 7);

/** An error about a file: "NAME:LINE: TEXT", without the line when it is 0. Returns false. */
bool icsp_refuse_line(struct mir_error *err, const char *name, unsigned line, const char *fmt, ...)
    MIR_PRINTF(4, 5);

/** Where place points: the whole path (the caller frees; NULL without a field), and the line of
 * what stands there, or of the nearest thing around it. */
void icsp_place_find(const struct icsp_place *place, char **path, unsigned *line);

#endif
