/*
 * The two ends of a pipe, as writer.c and reader.c see them. Private to bundle/.
 *
 * Threads: as in pipe.h.
 */
#ifndef BUNDLE_PIPE_PRIV_H
#define BUNDLE_PIPE_PRIV_H

#include "bundle/pipe.h"
#include "bundle/reader_priv.h"
#include "bundle/writer_priv.h"

/* ---- writing (writer_pipe.c): the functions of bundle.h ---- */

MIR_MUST_CHECK bool bundle_pipe_begin(struct bundle_writer *writer, int fd,
                                      const struct mir_cancel *cancel, struct mir_error *err);
MIR_MUST_CHECK bool bundle_pipe_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                                      struct mir_span bytes, struct mir_error *err);
void bundle_pipe_reset(struct bundle_writer *writer, size_t blob);
MIR_MUST_CHECK bool bundle_pipe_finish(struct bundle_writer *writer, size_t blob,
                                       struct mir_error *err);
MIR_MUST_CHECK bool bundle_pipe_commit(struct bundle_writer *writer, struct mir_error *err);
/** NULL is fine. */
void bundle_pipe_out_free(struct bundle_pipe_out *out);

/* ---- reading (pipe_front.c, reader_pipe.c) ---- */

/** Is it a regular file, from which nothing was read yet? */
bool bundle_pipe_is_plain(int fd);
/** Open a descriptor for this reader: a pipe, or (with reader->volumes then set) a plain file. */
MIR_MUST_CHECK bool bundle_pipe_open(struct bundle_reader *reader, int fd,
                                     const struct mir_cancel *cancel, struct mir_error *err);
const struct bundle_blob *bundle_pipe_find(struct bundle_pipe_in *in,
                                           const struct img_digest *digest);
MIR_MUST_CHECK bool bundle_pipe_read(const struct bundle_reader *reader,
                                     const struct bundle_blob *blob, uint64_t offset, void *data,
                                     size_t len, struct mir_error *err);
/** The manifests that were kept when it was opened. */
size_t bundle_pipe_kept_count(const struct bundle_pipe_in *in);
const struct bundle_blob *bundle_pipe_kept(const struct bundle_pipe_in *in, size_t i);
/** A manifest that comes after other blobs is MIR_E_UNSUPPORTED, with the way out. */
MIR_MUST_CHECK bool bundle_pipe_check_late(const struct bundle_reader *reader,
                                           const struct bundle_blob *blob, struct mir_error *err);
/** NULL is fine. */
void bundle_pipe_in_free(struct bundle_pipe_in *in);

#endif
