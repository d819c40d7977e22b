/*
 * The two forms of a writer, and what they share. Private to bundle/. writer.c is the public side
 * and dispatches; writer_tar.c and writer_dir.c do the work.
 *
 * Threads: as in bundle.h; the state of a blob is atomic, reached is touched by whoever has the
 * blob, all else is set at begin.
 */
#ifndef BUNDLE_WRITER_PRIV_H
#define BUNDLE_WRITER_PRIV_H

#include <stdatomic.h>

#include "bundle/bundle.h"
#include "bundle/plan_priv.h"

struct bundle_journal;
struct bundle_leftover;
struct bundle_pipe_out;
struct bundle_volumes;

enum bundle_blob_state {
    BUNDLE_BLOB_ABSENT,
    BUNDLE_BLOB_PRESENT,  /* stood there before we began */
    BUNDLE_BLOB_FINISHED, /* brought by us */
};

struct bundle_writer {
    enum bundle_form form;
    char *path;
    const struct bundle_plan *plan; /* borrowed */
    atomic_uchar *states;           /* enum bundle_blob_state of each blob */
    uint64_t *reached; /* bytes of each absent blob; touched by the thread that has it */
    bool *kept_images, *kept_blobs; /* NULL until bundle_writer_drop() */
    bool *kept_left_out;            /* of the plan's base; NULL: all */

    /* BUNDLE_FORM_TAR */
    uint64_t volume_bytes;                /* 0: one file */
    struct bundle_volumes *volumes;       /* PATH.partial, locked; NULL until it is ours */
    struct bundle_journal *journal;       /* PATH.journal; NULL until it is ours */
    struct bundle_leftover *leftovers[2]; /* of each enum bundle_leftover_kind, NULL for none */

    /* BUNDLE_FORM_DIR */
    int dir;           /* the layout's directory, locked */
    int *fds;          /* of blobs being written, -1 for all others */
    bool made_dir;     /* we created the directory */
    bool made_blobs;   /* we created blobs/ */
    bool made_algo[2]; /* we created blobs/sha256, blobs/sha512 */
    bool made_layout;  /* we wrote oci-layout */
    bool index_begun;  /* index.json may be the new one */

    /* BUNDLE_FORM_PIPE */
    struct bundle_pipe_out *out;
};

MIR_MUST_CHECK bool bundle_tar_begin(struct bundle_writer *writer, struct mir_error *err);
/** See what leftovers hold of a blob. */
void bundle_tar_gather(struct bundle_writer *writer, size_t blob);
/** Nothing of a blob is there. */
void bundle_tar_reset(struct bundle_writer *writer, size_t blob);
MIR_MUST_CHECK bool bundle_tar_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                                     struct mir_span bytes, struct mir_error *err);
MIR_MUST_CHECK bool bundle_tar_drop(struct bundle_writer *writer, struct mir_error *err);
MIR_MUST_CHECK bool bundle_tar_commit(struct bundle_writer *writer, struct mir_error *err);
/** Also after a begin or commit that failed. */
void bundle_tar_suspend(struct bundle_writer *writer);
void bundle_tar_abort(struct bundle_writer *writer);

MIR_MUST_CHECK bool bundle_dir_begin(struct bundle_writer *writer, struct mir_error *err);
MIR_MUST_CHECK bool bundle_dir_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                                     struct mir_span bytes, struct mir_error *err);
MIR_MUST_CHECK bool bundle_dir_read(struct bundle_writer *writer, size_t blob, uint64_t offset,
                                    void *data, size_t len, struct mir_error *err);
MIR_MUST_CHECK bool bundle_dir_finish(struct bundle_writer *writer, size_t blob,
                                      struct mir_error *err);
/** Nothing of a blob is there. */
void bundle_dir_reset(struct bundle_writer *writer, size_t blob);
/** What was brought and is not kept becomes something to go on with. */
void bundle_dir_drop(struct bundle_writer *writer);
MIR_MUST_CHECK bool bundle_dir_commit(struct bundle_writer *writer, struct mir_error *err);
/** Also after a begin or commit that failed. */
void bundle_dir_suspend(struct bundle_writer *writer);
void bundle_dir_abort(struct bundle_writer *writer);

/* ---- shared between files ---- */

/** What is left of the plan's base once images are dropped (writer_base.c). Returns the blobs that
 * base then points to; the caller frees. */
struct bundle_left_out *bundle_writer_kept_base(const struct bundle_writer *writer,
                                                struct bundle_base *base);

/** Write the header in front of one blob of a planned tar. */
MIR_MUST_CHECK bool bundle_tar_write_blob_header(const struct bundle_volumes *set,
                                                 const struct bundle_plan *plan, size_t blob,
                                                 struct mir_error *err);
/** Write the zeros behind one blob of a planned tar. */
MIR_MUST_CHECK bool bundle_tar_write_blob_padding(const struct bundle_volumes *set,
                                                  const struct bundle_plan *plan, size_t blob,
                                                  struct mir_error *err);
/** Write oci-layout and index.json with their headers and padding. */
MIR_MUST_CHECK bool bundle_tar_write_front(const struct bundle_volumes *set,
                                           const struct bundle_plan *plan, struct mir_error *err);

/** Is there room for this many bytes on the file system of fd? MIR_E_SPACE names both figures. */
MIR_MUST_CHECK bool bundle_space_check(int fd, const char *path, uint64_t bytes,
                                       struct mir_error *err);
/** Make fd's file this long, with its blocks reserved where the file system can do that (and does
 * not take long over it). What is in it stays, up to there. */
MIR_MUST_CHECK bool bundle_space_claim(int fd, const char *path, uint64_t bytes,
                                       struct mir_error *err);
/** Reserve the blocks alone, where the file system can do that; the file's size stays. */
MIR_MUST_CHECK bool bundle_space_reserve(int fd, const char *path, uint64_t bytes,
                                         struct mir_error *err);

#endif
