/*
 * Differentials: bundles that leave out blobs which an older bundle, their base, holds. All
 * manifests are there; what is left out is listed in mirror-base.json between index.json and the
 * blobs, which other tools pass over.
 *
 * Threads: as in bundle.h.
 */
#ifndef BUNDLE_BASE_H
#define BUNDLE_BASE_H

#include "bundle/bundle.h"

#define BUNDLE_LEFT_OUT_MAX BUNDLE_ENTRIES_MAX

/* One blob that is not in the bundle. */
struct bundle_left_out {
    struct img_digest digest;
    uint64_t size;    /* bytes */
    const char *repo; /* "host/repo" in which an image of the base uses it, or NULL if none of them
                         has such a name */
};

/* The bundle that has them, or the receipt of a mirror that has them. */
struct bundle_base {
    const char *name;        /* of its file, without directories: for people */
    struct img_digest index; /* sha256 of its index.json, or of the receipt */
    const char *mirror;      /* of a receipt: "host[/prefix]" that it is of; else NULL */
    const struct bundle_left_out *blobs; /* sorted by digest, each once */
    size_t count;
};

/** For people: "NAME (the bundle whose index.json is DIGEST)", or of a receipt "HOST (by the
 * receipt NAME, DIGEST)"; the caller frees. */
char *bundle_base_describe(const struct bundle_base *base);

/* ---- writing ---- */

/**
 * bundle_plan_new() for a differential. base, and all it points to, is borrowed until the plan is
 * freed; with NULL, or without a blob left out, it is the plan of a whole bundle. err: also
 * MIR_E_CONFLICT when a blob is both in the plan and left out.
 */
MIR_MUST_CHECK bool bundle_plan_new_since(const struct bundle_image *images, size_t image_count,
                                          const struct bundle_blob *blobs, size_t blob_count,
                                          const struct bundle_base *base, int64_t epoch,
                                          struct bundle_plan **out, struct mir_error *err);

/** Before bundle_writer_drop(): which of the base's blobs the images that are kept still need; all,
 * unless this is called. keep has base->count elements. */
void bundle_writer_keep_left_out(struct bundle_writer *writer, const bool *keep);

/* ---- reading ---- */

/** NULL for a whole bundle; borrowed. Its entries may name blobs that are there all the same, in a
 * directory that was filled up: ask bundle_reader_leaves_out(). */
const struct bundle_base *bundle_reader_base(const struct bundle_reader *reader);
/** The entry of a blob that is not there but left out on purpose; NULL for all others. */
const struct bundle_left_out *bundle_reader_leaves_out(const struct bundle_reader *reader,
                                                       const struct img_digest *digest);
/** sha256 of index.json, by which a differential names its base. */
const struct img_digest *bundle_reader_index_digest(const struct bundle_reader *reader);

/** A reader of an index.json that stands alone: it has names and no blob at all. */
MIR_MUST_CHECK bool bundle_reader_open_index(const char *path, struct bundle_reader **out,
                                             struct mir_error *err);

/* ---- receipts ---- */

/* What a mirror holds, written down (docs/report-format.md). Its blobs are those of a base, each
 * with its repository at the mirror; it has no name, and its index is the sha256 of its text. */
struct bundle_receipt;

#define BUNDLE_RECEIPT_BYTES_MAX (1u << 30)

/** The text of a receipt: mirror and blobs of a base, sorted by digest, each once. The same receipt
 * gives the same bytes; the caller frees *out. err: MIR_E_FORMAT, MIR_E_LIMIT. */
MIR_MUST_CHECK bool bundle_receipt_format(const struct bundle_base *receipt, char **out,
                                          size_t *len, struct mir_error *err);
/** Does the text begin as one does? */
bool bundle_is_receipt(struct mir_span text);
/** Read one; name is what errors call it. err: MIR_E_FORMAT naming the line, MIR_E_UNSUPPORTED for
 * another version, MIR_E_LIMIT. The caller frees *out. */
MIR_MUST_CHECK bool bundle_receipt_parse(struct mir_span text, const char *name,
                                         struct bundle_receipt **out, struct mir_error *err);
/** What is in it; borrowed. */
const struct bundle_base *bundle_receipt_get(const struct bundle_receipt *receipt);
/** NULL is fine. */
void bundle_receipt_free(struct bundle_receipt *receipt);

/* ---- verifying ---- */

/**
 * bundle_verify(), and is what it leaves out in one of the bases? Of those, only these blobs are
 * hashed, and count among the bytes hashed. Without bases this is bundle_verify().
 */
MIR_MUST_CHECK bool bundle_verify_with(const struct bundle_reader *reader,
                                       struct bundle_reader *const *bases, size_t base_count,
                                       unsigned jobs, const struct bundle_verify_sink *sink,
                                       struct bundle_verify_totals *totals, struct mir_error *err);

#endif
