/*
 * What the three files that read from a pipe share: the pipe itself (pipe_entries.c: its archive;
 * pipe_front.c: what comes first; reader_pipe.c: its blobs). Private to bundle/.
 *
 * Threads: any may look at what stands behind the lock, under the lock; all else belongs to the
 * thread that opens the pipe and, once it is open, to the owner of the current blob.
 */
#ifndef BUNDLE_PIPE_IN_PRIV_H
#define BUNDLE_PIPE_IN_PRIV_H

#include <pthread.h>

#include "base/buf.h"
#include "bundle/pipe_priv.h"

#define BUNDLE_PIPE_CHUNK (256u << 10) /* bytes that are asked for at a time */

struct archive;
struct archive_entry;

/* A blob that was seen. Never moves. */
struct bundle_pipe_seen {
    struct bundle_blob blob;
    char *bytes; /* while they are kept, else NULL */
};

struct bundle_pipe_in {
    int fd; /* borrowed */
    const struct mir_cancel *cancel;
    struct archive *archive;
    struct archive_entry *entry;
    char *chunk;
    char start[8];     /* the first bytes of all */
    uint64_t total;    /* bytes read of the pipe */
    uint64_t expected; /* where the next header has to begin */
    size_t entries;
    bool at_eof;    /* the pipe gave all it has */
    bool has_ended; /* the archive too */
    bool has_layout, has_index;
    struct mir_error trouble;    /* what ended it; MIR_OK while all is well */
    struct mir_error pipe_error; /* of a read that failed */

    /* While it is opened: manifests that are still to come, with what they were announced as. */
    struct mir_map *wanted;
    char **types; /* what wanted points to */
    size_t type_count, type_capacity;
    size_t manifest_count;
    uint64_t manifest_bytes;

    uint64_t at;           /* bytes of the current blob that were read */
    struct mir_buf replay; /* the first of them */

    pthread_mutex_t lock;             /* of what follows, and of all seen */
    struct bundle_pipe_seen *current; /* the blob that passes by, or NULL */
    bool is_waiting; /* it was met when the pipe was opened, and is not handed out yet */
    pthread_t owner; /* the thread that may read it */
    struct mir_map *by_digest;
    struct bundle_pipe_seen **seen;
    size_t seen_count, seen_capacity;
};

/* ---- pipe_entries.c ---- */

/** Begin to read the archive. */
MIR_MUST_CHECK bool bundle_pipe_open_archive(struct bundle_reader *reader, struct mir_error *err);
/** The next entry that is a file; *name is NULL at the end, else borrowed until the next call. */
MIR_MUST_CHECK bool bundle_pipe_next_file(const struct bundle_reader *reader, const char **name,
                                          struct mir_error *err);
/** Exactly len bytes of the entry at hand. */
MIR_MUST_CHECK bool bundle_pipe_read_data(const struct bundle_reader *reader, char *to, size_t len,
                                          struct mir_error *err);
/** The whole of a small file of the layout, NUL-terminated. The caller frees *text. */
MIR_MUST_CHECK bool bundle_pipe_read_small(const struct bundle_reader *reader, const char *name,
                                           size_t max, char **text, size_t *len,
                                           struct mir_error *err);
/** What comes behind the archive, so that the program that sends it does not end because nobody
 * reads its last zeros. */
MIR_MUST_CHECK bool bundle_pipe_drain_rest(struct bundle_pipe_in *in, struct mir_error *err);

/* ---- pipe_front.c ---- */

/** Go to the next blob and stop there; all other files on the way are dealt with. current is NULL
 * at the end. */
MIR_MUST_CHECK bool bundle_pipe_go_on(struct bundle_reader *reader, struct mir_error *err);

/* ---- reader_pipe.c ---- */

/** This blob, or none, passes by from now on, in the hands of this thread. */
void bundle_pipe_set_current(struct bundle_pipe_in *in, struct bundle_pipe_seen *seen);
/** The entry at hand is a blob: it passes by from now on. MIR_E_FORMAT when it was seen before. */
MIR_MUST_CHECK bool bundle_pipe_meet(const struct bundle_reader *reader, const char *name,
                                     const struct img_digest *digest, struct mir_error *err);

#endif
