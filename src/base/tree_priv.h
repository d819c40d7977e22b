/*
 * What the reader and the writer of trees share: which value a plain YAML scalar stands for.
 */
#ifndef BASE_TREE_PRIV_H
#define BASE_TREE_PRIV_H

#include <jansson.h>

#include "base/span.h"

enum tree_scalar {
    TREE_SCALAR_STRING,
    TREE_SCALAR_NULL,
    TREE_SCALAR_TRUE,
    TREE_SCALAR_FALSE,
    TREE_SCALAR_INTEGER,
    TREE_SCALAR_FLOAT,
    TREE_SCALAR_ENDLESS, /* .inf, .nan: a float that JSON cannot hold */
    TREE_SCALAR_DATE,    /* read as a string, quoted when written */
    TREE_SCALAR_MERGE,   /* << */
};

/** What Kubernetes' reader takes a plain scalar for. *integer and *number are written for
 * TREE_SCALAR_INTEGER and TREE_SCALAR_FLOAT. */
enum tree_scalar mir_tree_scalar(struct mir_span text, json_int_t *integer, double *number);

/** Would some YAML 1.1 reader take it for something else than a string? */
bool mir_tree_must_quote(struct mir_span text);

#endif
