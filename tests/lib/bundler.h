/*
 * Bundles for tests: a layout in a directory, copied into a bundle of either form through the
 * writer, as src/copy would do it.
 *
 * Threads: bundler_copy() starts its own and ends them.
 */
#ifndef TESTS_LIB_BUNDLER_H
#define TESTS_LIB_BUNDLER_H

#include "bundle/bundle.h"

/* What is to be copied. Blobs are in the order of their digests. */
struct bundler {
    struct bundle_reader *reader;
    struct bundle_image *images;
    size_t image_count;
    struct bundle_blob *blobs;
    size_t blob_count;
};

/** Take all images and blobs of a layout in a directory. */
void bundler_init(struct bundler *bundler, const char *layout_dir);
void bundler_release(struct bundler *bundler);
#define auto_bundler __attribute__((cleanup(bundler_release))) struct bundler

/** Plan what the bundler holds now; the caller frees. Ends the program if that fails. */
struct bundle_plan *bundler_plan(const struct bundler *bundler, int64_t epoch);

/** Bring one blob to a writer, in pieces of at most piece bytes, and finish it. */
MIR_MUST_CHECK bool bundler_bring(const struct bundler *bundler, struct bundle_writer *writer,
                                  size_t blob, size_t piece, struct mir_error *err);

struct bundler_args {
    unsigned threads; /* 1 */
    unsigned seed;    /* order in which blobs are brought; 0 is that of the plan */
    size_t piece;     /* bytes at once; 65536 */
    int64_t epoch;
    uint64_t volume_bytes; /* 0: one file */
};

/** Plan, begin, bring all blobs that are not there, commit. */
MIR_MUST_CHECK bool bundler_copy_with(const struct bundler *bundler, const char *path,
                                      enum bundle_form form, const struct bundler_args *args,
                                      struct mir_error *err);
#define bundler_copy(bundler, path, form, err, ...)                                                \
    bundler_copy_with(bundler, path, form, &(const struct bundler_args){__VA_ARGS__}, err)

#endif
