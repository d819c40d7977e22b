/*
 * The bundle: an OCI image layout in an uncompressed tar, or the same layout in a directory.
 *
 * Writing goes plan -> begin -> blobs in any order -> commit. The plan knows every name, header and
 * offset of the file before the first byte is written. Same content, same bytes, whatever order it
 * was asked for in. Reading never unpacks.
 *
 * File order: oci-layout, index.json, then the blobs as the caller ordered them (manifests, then
 * configs, then layers, each in order of first use by the images sorted by name). Mode 0644, owner
 * 0, time SOURCE_DATE_EPOCH or 0.
 *
 * Spec: OCI image-spec 1.1, image-layout.md; POSIX ustar, pax for sizes over 8 GiB.
 */
#ifndef BUNDLE_BUNDLE_H
#define BUNDLE_BUNDLE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "image/descriptor.h"
#include "image/digest.h"
#include "image/platform.h"

#define BUNDLE_IMAGES_MAX  1000000    /* names in one index.json */
#define BUNDLE_ENTRIES_MAX 4000000    /* files in one tar */
#define BUNDLE_INDEX_MAX   (1u << 30) /* bytes of index.json */

enum bundle_form {
    BUNDLE_FORM_TAR,  /* bundle:FILE, oci-archive:FILE */
    BUNDLE_FORM_DIR,  /* oci:DIR */
    BUNDLE_FORM_PIPE, /* bundle:-; see pipe.h */
};

/* One name in index.json. */
struct bundle_image {
    const char *name; /* org.opencontainers.image.ref.name; NULL when the layout names none */
    const char *media_type;
    struct img_digest digest;
    uint64_t size;         /* bytes of the manifest */
    const char *platforms; /* "linux/amd64,linux/arm64" when only those were taken of an index, or
                              NULL; kept in the annotation BUNDLE_ANNOTATION_PLATFORMS */
};

#define BUNDLE_ANNOTATION_PLATFORMS "mirror.platforms"

struct bundle_blob {
    struct img_digest digest;
    uint64_t size; /* bytes */
};

/* ---- planning ---- */

struct bundle_plan;

/**
 * Lay out a bundle. Images are sorted by name here (those without one come last, by digest); two
 * with one name are MIR_E_CONFLICT. blobs must be unique and hold every image's manifest; their
 * order is the file's order. epoch is the time stamp of every entry (seconds).
 *
 * Both arrays, and what they point to, are borrowed until the plan is freed: with tens of thousands
 * of blobs a copy would cost megabytes.
 */
MIR_MUST_CHECK bool bundle_plan_new(const struct bundle_image *images, size_t image_count,
                                    const struct bundle_blob *blobs, size_t blob_count,
                                    int64_t epoch, struct bundle_plan **out, struct mir_error *err);
void bundle_plan_free(struct bundle_plan *plan);
/** Bytes of the whole tar. */
uint64_t bundle_plan_bytes(const struct bundle_plan *plan);

/**
 * How large volumes are to be: a number of bytes, or of KiB, MiB, GiB, TiB, KB, MB, GB, TB ("4GiB",
 * "4.7GB"), "dvd" (4.7 GB) or "fat32" (512 bytes under 4 GiB); rounded down to a multiple of 512.
 * At least 64 KiB. err: MIR_E_USAGE.
 */
MIR_MUST_CHECK bool bundle_volume_size_parse(const char *text, uint64_t *bytes,
                                             struct mir_error *err);
/** How many volumes of this size the tar makes: 1 for size 0, which means one file. MIR_E_USAGE
 * when they are more than 999. */
MIR_MUST_CHECK bool bundle_plan_volumes(const struct bundle_plan *plan, uint64_t volume_bytes,
                                        size_t *count, struct mir_error *err);

/* ---- writing ---- */

struct bundle_writer;
struct bundle_reader;

/**
 * TAR: create PATH.partial, claim its space (MIR_E_SPACE names the bytes needed and there, before
 * anything is fetched), write all headers, oci-layout and index.json. A file that stands under
 * PATH stays untouched until commit. With volume_bytes (0: one file; else a multiple of 512, at
 * least 64 KiB) the same bytes are cut into PATH.001, PATH.002, ..., all but the last of that size;
 * MIR_E_USAGE when they were more than 999. A file PATH where volumes are to be written, or volumes
 * where a file is, are MIR_E_CONFLICT.
 * DIR: create the layout, or add to the one that is there: its other images stay, names given here
 * are replaced at commit. Blobs appear under their final name only when finished.
 *
 * What an earlier run with this path left is gone on with, whether it was suspended or killed. TAR:
 * beside PATH.partial a small text file PATH.journal says how far each blob has come; with another
 * plan than before, what is there is moved to where the new plan wants it, blob by blob, when
 * bundle_writer_reached() asks for it. DIR: blobs/ALGO/.HEX.partial is a blob as far as it has
 * come. None of that is trusted: after a power loss, or in a file of another's making, bytes may be
 * wrong or missing. What is trusted is a blob of more than 1 MiB under its final name in a
 * directory, if it has the right size: it was synced before it got that name. (Smaller ones are
 * hashed at begin.)
 *
 * plan is borrowed until the writer is gone. err: MIR_E_CONFLICT if PATH.partial is locked by
 * another process. When it fails, what an earlier run left stays.
 */
MIR_MUST_CHECK bool bundle_writer_begin(const char *path, enum bundle_form form,
                                        const struct bundle_plan *plan, uint64_t volume_bytes,
                                        struct bundle_writer **out, struct mir_error *err);

/** Is this blob (index into the plan's blobs) there already, so that it need not be brought? */
bool bundle_writer_has(const struct bundle_writer *writer, size_t blob);

/* The functions that take a blob may be called from any thread, by one thread per blob at a time.
 */

/**
 * How many bytes of a blob, from its start, are on the disk: from an earlier run, or written by
 * this one. What an earlier run left is a claim and not a promise (it may have been cut by a power
 * loss, or be another's doing): read it back, hash it, and reset when the whole digest is wrong.
 */
uint64_t bundle_writer_reached(struct bundle_writer *writer, size_t blob);
/** Read back exactly len bytes that are there: offset + len is at most what is reached (asserted).
 */
MIR_MUST_CHECK bool bundle_writer_read(struct bundle_writer *writer, size_t blob, uint64_t offset,
                                       void *data, size_t len, struct mir_error *err);
/** What is there is wrong: nothing is reached. */
void bundle_writer_reset(struct bundle_writer *writer, size_t blob);
/** Put bytes of a blob at an offset within it, at most what is reached (asserted); reached becomes
 * the end of them. */
MIR_MUST_CHECK bool bundle_writer_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                                        struct mir_span bytes, struct mir_error *err);
/**
 * Put the next len bytes, from what is reached on, straight from a bundle that holds the blob: from
 * file to file, inside the kernel, so that file systems that can share blocks. Nothing is checked:
 * read it back. MIR_E_UNSUPPORTED where nothing could be shared, because one of the two is not a
 * tar or the blob lies differently within its blocks: write it then.
 */
MIR_MUST_CHECK bool bundle_writer_take(struct bundle_writer *writer, size_t blob,
                                       const struct bundle_reader *reader,
                                       const struct bundle_blob *from, uint64_t len,
                                       struct mir_error *err);
/** The blob is whole and its digest was checked. */
MIR_MUST_CHECK bool bundle_writer_finish(struct bundle_writer *writer, size_t blob,
                                         struct mir_error *err);

/**
 * Leave out images that could not be completed: keep_image and keep_blob have the plan's lengths
 * and orders (images in the order given to bundle_plan_new). What is kept moves together in place,
 * in the same order; no second copy. What is not kept is saved for the next run, if there is room.
 * Called at most once, when no thread writes, before commit.
 */
MIR_MUST_CHECK bool bundle_writer_drop(struct bundle_writer *writer, const bool *keep_image,
                                       const bool *keep_blob, struct mir_error *err);

/** Sync, rename into place, sync the directory. Frees the writer, also on failure, when all is kept
 * for the next run. Every blob kept must be finished (asserted). */
MIR_MUST_CHECK bool bundle_writer_commit(struct bundle_writer *writer, struct mir_error *err);
/** Stop, and keep what was brought for the next run with the same path, which finds it reached. If
 * nothing was brought, the same as abort. Frees the writer; NULL is fine. */
void bundle_writer_suspend(struct bundle_writer *writer);
/** Remove what was begun. Frees the writer; NULL is fine. */
void bundle_writer_abort(struct bundle_writer *writer);

/* ---- reading ---- */

struct bundle_reader;

/**
 * Open for reading. A tar is walked by its headers once; what a reader of hostile files must refuse
 * is refused here: names outside the layout's grammar or outside the tree, links and devices,
 * duplicate names, sizes past the end, wrong header checksums, too many entries, an index.json
 * that is not one. Archives of other tools are fine (leading "./", directory entries, extra files
 * outside blobs/, which are ignored). A compressed archive is MIR_E_UNSUPPORTED with the way out.
 * Errors name the file and the entry.
 *
 * Where no file stands under path, or path ends in ".001", the volumes PATH.001, PATH.002, ... are
 * read as one. A volume that is missing, cut short, of an odd size or swapped with another is
 * named; so is one that does not belong there.
 */
/* PIPE: standard input, if that is a file, which is read like any other; MIR_E_UNSUPPORTED with the
 * way out if it is not. Who can read in the order of the pipe calls bundle_reader_open_pipe(). */
MIR_MUST_CHECK bool bundle_reader_open(const char *path, enum bundle_form form,
                                       struct bundle_reader **out, struct mir_error *err);
void bundle_reader_close(struct bundle_reader *reader);

/* All of these may be called from any thread at once. */

const char *bundle_reader_path(const struct bundle_reader *reader);
/** Images in the order of index.json; what they point to is borrowed from the reader. */
size_t bundle_reader_image_count(const struct bundle_reader *reader);
const struct bundle_image *bundle_reader_image(const struct bundle_reader *reader, size_t i);
/**
 * By name, as it stands in index.json; or by less than that, if it is one image's only: without its
 * tag, its digest, or both. "@N" is the N-th, from 0. MIR_E_NOT_FOUND with a hint that lists what
 * is there, MIR_E_CONFLICT when several match.
 */
MIR_MUST_CHECK bool bundle_reader_select(const struct bundle_reader *reader, const char *ref,
                                         const struct bundle_image **out, struct mir_error *err);

/** NULL when it is not there. */
const struct bundle_blob *bundle_reader_find(const struct bundle_reader *reader,
                                             const struct img_digest *digest);
/** Where a blob lies, for the end of a message that says it is damaged: ", in april.tar.002 to
 * april.tar.003" of volumes, else "". The caller frees. */
char *bundle_reader_where(const struct bundle_reader *reader, const struct img_digest *digest);
/** Read exactly len bytes of a blob at an offset. */
MIR_MUST_CHECK bool bundle_reader_read(const struct bundle_reader *reader,
                                       const struct bundle_blob *blob, uint64_t offset, void *data,
                                       size_t len, struct mir_error *err);
/** A whole blob of at most max bytes, checked against its digest. The caller frees *bytes. */
MIR_MUST_CHECK bool bundle_reader_load(const struct bundle_reader *reader,
                                       const struct img_digest *digest, size_t max, char **bytes,
                                       size_t *len, struct mir_error *err);
/** A descriptor and offset of a part of a blob for sendfile; the caller closes *fd. Its file
 * position may be shared with other descriptors: use positioned reads. *fd is -1 when the part lies
 * in more than one volume: then it has to be read with bundle_reader_read(). */
MIR_MUST_CHECK bool bundle_reader_open_range(const struct bundle_reader *reader,
                                             const struct bundle_blob *blob, uint64_t offset,
                                             uint64_t len, int *fd, uint64_t *fd_offset,
                                             struct mir_error *err);

/* What the file system says of the files that hold a blob: which they are, how large, when they
 * were last written. Equal stamps: nobody wrote to them in between. */
struct bundle_stamp {
    char text[MIR_HASH_HEX_MAX];
};

MIR_MUST_CHECK bool bundle_reader_stamp(const struct bundle_reader *reader,
                                        const struct bundle_blob *blob, struct bundle_stamp *out,
                                        struct mir_error *err);

/* ---- verifying ---- */

/* What verify found wrong, one call each; text names image, digest and trouble. */
struct bundle_verify_sink {
    void (*problem)(void *ctx, const char *text);
    void *ctx;
    const struct mir_cancel *cancel; /* NULL: none */
};

struct bundle_verify_totals {
    size_t images, manifests, blobs;
    uint64_t bytes; /* hashed */
    size_t problems;
    size_t unused;   /* blobs nothing refers to */
    size_t left_out; /* blobs that are in the base (base.h), each once */
    uint64_t bytes_left_out;
};

/**
 * Hash every blob, read every manifest, and see that all that is referred to is there with the
 * size that was promised. Children of an index that BUNDLE_ANNOTATION_PLATFORMS leaves out,
 * non-distributable layers, and configs and layers that a differential leaves out may be missing.
 * False only when the check itself could not run; problems are in totals.
 */
MIR_MUST_CHECK bool bundle_verify(const struct bundle_reader *reader, unsigned jobs,
                                  const struct bundle_verify_sink *sink,
                                  struct bundle_verify_totals *totals, struct mir_error *err);

/** The digest of a blob as it lies there, whatever it should be. err: MIR_E_CANCELLED too. */
MIR_MUST_CHECK bool bundle_reader_hash(const struct bundle_reader *reader,
                                       const struct bundle_blob *blob,
                                       const struct mir_cancel *cancel, struct img_digest *out,
                                       struct mir_error *err);

/* Told of each blob once, in the calling thread; why is NULL if its bytes are what its digest says,
 * else "has other content ...", "cannot be read: ...". */
typedef void bundle_hashed(void *ctx, const struct bundle_blob *blob, const char *why);

/** Hash every blob, with this many threads. err: MIR_E_CANCELLED. */
MIR_MUST_CHECK bool bundle_reader_hash_all(const struct bundle_reader *reader, unsigned jobs,
                                           const struct mir_cancel *cancel, bundle_hashed *hashed,
                                           void *ctx, struct mir_error *err);

#endif
