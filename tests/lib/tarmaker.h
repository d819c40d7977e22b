/*
 * tar archives built byte by byte, for readers that must withstand them. Nothing is checked here:
 * any name, type, size or checksum can be written, right or wrong.
 *
 * Threads: plain values.
 */
#ifndef TESTS_LIB_TARMAKER_H
#define TESTS_LIB_TARMAKER_H

#include <stdint.h>

#include "base/buf.h"

struct tarmaker {
    struct mir_buf bytes;
};

struct tarmaker_entry {
    const char *name;
    char type;            /* '0' */
    const char *link;     /* linkname, "" */
    struct mir_span data; /* what follows the header */
    bool has_size;        /* say .size instead of data.len */
    uint64_t size;
    bool base256; /* the size in GNU's binary form */
    bool bad_checksum;
    bool gnu;      /* GNU magic instead of ustar's */
    bool v7;       /* no magic at all */
    bool unpadded; /* leave out the padding after the data */
};

void tarmaker_init(struct tarmaker *maker);
void tarmaker_release(struct tarmaker *maker);
#define auto_tarmaker __attribute__((cleanup(tarmaker_release))) struct tarmaker

void tarmaker_add_entry(struct tarmaker *maker, const struct tarmaker_entry *entry);
#define tarmaker_add(maker, ...)                                                                   \
    tarmaker_add_entry(maker, &(const struct tarmaker_entry){__VA_ARGS__})

/** A file with text as its bytes. */
void tarmaker_file(struct tarmaker *maker, const char *name, const char *text);
/** A pax header ('x') with records "KEY=VALUE" for the next entry. */
void tarmaker_pax(struct tarmaker *maker, const char *const *records, size_t count);
/** oci-layout and an index.json without images: what every bundle begins with. */
void tarmaker_layout(struct tarmaker *maker);
/** The two blocks of zeros. */
void tarmaker_end(struct tarmaker *maker);
/** Write it to a file. */
void tarmaker_write(const struct tarmaker *maker, const char *path);

#endif
