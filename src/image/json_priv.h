/*
 * Reading members of JSON objects that strangers wrote. null counts as absent, as the field's other
 * programs write it for empty lists.
 */
#ifndef IMAGE_JSON_PRIV_H
#define IMAGE_JSON_PRIV_H

#include <jansson.h>

#include "base/error.h"

/** Borrowed; NULL when it is absent or null. */
const json_t *img_json_find(const json_t *object, const char *key);

/** MIR_E_FORMAT when a key differs from one of names (ends with NULL) only in upper and lower case.
 * Many clients match keys without regard to case: they would read another manifest than we do. */
MIR_MUST_CHECK bool img_json_check_case(const json_t *object, const char *const *names,
                                        struct mir_error *err);

/** A string of printable ASCII of at most max bytes; *out is borrowed, "" when absent. */
MIR_MUST_CHECK bool img_json_text(const json_t *object, const char *key, size_t max,
                                  const char **out, struct mir_error *err);

#endif
