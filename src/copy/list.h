/*
 * Lists of images: one per line, "#" comments, and the mapping lines of `oc image mirror -f`.
 *
 * Threads: plain values.
 */
#ifndef COPY_LIST_H
#define COPY_LIST_H

#include "base/error.h"
#include "base/span.h"

#define COPY_LIST_BYTES_MAX (64u << 20)

struct copy_list_item {
    char *source;      /* as written */
    char *destination; /* NULL: the line names none */
    unsigned line;     /* from 1 */
};

struct copy_list {
    char *name; /* of the file */
    struct copy_list_item *items;
    size_t count;
};

/**
 * Parse a list. "SRC", "SRC DST [DST...]" or "SRC=DST" a line; blanks separate; "#" begins a
 * comment at the start of a line or after a blank. err: MIR_E_USAGE "NAME:LINE: ...".
 */
MIR_MUST_CHECK bool copy_list_parse(struct mir_span text, const char *name, struct copy_list *out,
                                    struct mir_error *err);
/** The same from a file; "-" is standard input. */
MIR_MUST_CHECK bool copy_list_read(const char *path, struct copy_list *out, struct mir_error *err);
void copy_list_release(struct copy_list *list);
#define auto_list __attribute__((cleanup(copy_list_release))) struct copy_list

#endif
