/*
 * Saying something about one place of one object.
 */
#ifndef ICSP_FINDINGS_PRIV_H
#define ICSP_FINDINGS_PRIV_H

#include "icsp/icsp.h"

/* Where: any of these may be NULL. Borrowed. */
struct icsp_place {
    const char *object;
    const char *field;
    const char *value;
};

/** Append a note or a warning. hint may be NULL. */
void icsp_say(struct icsp_findings *findings, enum icsp_severity severity, struct icsp_place place,
              const char *hint, const char *fmt, ...) MIR_PRINTF(5, 6);

/** Append an error and set err to the same words. Returns false. */
bool icsp_reject(struct icsp_findings *findings, struct mir_error *err, enum mir_code code,
                 struct icsp_place place, const char *hint, const char *fmt, ...) MIR_PRINTF(6, 7);

#endif
