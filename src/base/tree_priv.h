/*
 * What the files of the tree share: which value a plain YAML scalar stands for, and how the table
 * of lines is filled.
 */
#ifndef BASE_TREE_PRIV_H
#define BASE_TREE_PRIV_H

#include <jansson.h>

#include "base/span.h"
#include "base/tree.h"

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

/* strchr() would find the NUL too. */
static inline bool mir_is_json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The lines of the children of one container, in order, while it is being read. */
struct mir_line_list {
    unsigned *lines;
    size_t count, capacity;
};

void mir_line_list_add(struct mir_line_list *list, unsigned line);
void mir_line_list_release(struct mir_line_list *list);
#define auto_line_list __attribute__((cleanup(mir_line_list_release))) struct mir_line_list

/** The list is copied. */
void mir_lines_set(struct mir_lines *lines, const json_t *container,
                   const struct mir_line_list *list);

/** Note the lines of a JSON value that was parsed from the beginning of text, which begins on line.
 * Gives the line on which it ends. */
unsigned mir_lines_walk_json(struct mir_lines *lines, struct mir_span text, unsigned line,
                             json_t *value);

#endif
