/*
 * The record that powerlog.c writes and tests/lib/tools/powerloss.c reads, on one machine.
 */
#ifndef TESTS_LIB_PRELOAD_POWERLOG_H
#define TESTS_LIB_PRELOAD_POWERLOG_H

#include <stdint.h>

enum powerlog_kind {
    POWERLOG_CREATE,   /* a new file id at path */
    POWERLOG_OPEN,     /* what stood at path is id from here on */
    POWERLOG_WRITE,    /* data at offset of id */
    POWERLOG_RESIZE,   /* id has offset bytes now; what is new is zeros */
    POWERLOG_SYNC,     /* id */
    POWERLOG_SYNC_DIR, /* path */
    POWERLOG_RENAME,   /* path to the name in data */
    POWERLOG_UNLINK,   /* path, a file or an empty directory */
    POWERLOG_MKDIR,    /* path */
};

/* Followed by the path and the data. Paths are relative to the folder that is watched. */
struct powerlog_record {
    uint32_t kind;
    uint32_t id;
    uint64_t offset;
    uint32_t path_len;
    uint32_t data_len;
};

#endif
