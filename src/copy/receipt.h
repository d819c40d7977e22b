/*
 * Receipts: what a mirror holds, asked of the mirror itself and written down, so that --since can
 * leave it out with no other state kept. Manifests are fetched and checked; configs and layers are
 * asked for where they should be, so that a receipt promises nothing that is not there.
 *
 * Life: copy_receipt_new -> copy_receipt_find or copy_receipt_add ... -> copy_receipt_run -> read
 * -> copy_receipt_free.
 *
 * Threads: one thread calls these; workers are started and joined inside copy_receipt_run().
 */
#ifndef COPY_RECEIPT_H
#define COPY_RECEIPT_H

#include "copy/copy.h"

/* Borrowed until copy_receipt_free(). */
struct copy_receipt_options {
    struct reg_options registry;    /* clock, cancel and sink are those below */
    const struct copy_rules *rules; /* which repositories are blocked or insecure; NULL: none */
    unsigned jobs;                  /* requests at a time, at most; 0: COPY_JOBS_DEFAULT */
    bool trust; /* what manifests refer to counts as being there, without a question */
    const struct mir_clock *clock;
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
};

struct copy_receipt;

/** mirror is "host[/prefix][/]". err: MIR_E_USAGE. */
MIR_MUST_CHECK bool copy_receipt_new(const struct copy_receipt_options *options, const char *mirror,
                                     struct copy_receipt **out, struct mir_error *err);
void copy_receipt_free(struct copy_receipt *receipt);

/** Ask the registry which repositories there are, and add those at the prefix or below it. err:
 * also what says that it does not list them. */
MIR_MUST_CHECK bool copy_receipt_find(struct copy_receipt *receipt, struct mir_error *err);
/** Add a repository of the mirror's host (the whole path), and in it, beside its tags, a manifest
 * that may have none. digest may be NULL. */
void copy_receipt_add(struct copy_receipt *receipt, const char *repo,
                      const struct img_digest *digest);

/**
 * Ask what is there. Repositories and manifests that are not there are nothing held; trouble with
 * others is logged and counted, and what cannot be seen is not held either. err: MIR_E_CANCELLED,
 * or the first trouble when nothing could be seen because of it.
 */
MIR_MUST_CHECK bool copy_receipt_run(struct copy_receipt *receipt, struct mir_error *err);

struct copy_receipt_totals {
    size_t repos, images, blobs; /* with something in them; tags and digests; unique */
    uint64_t bytes;              /* of those */
    size_t troubles;             /* what could not be seen */
    uint64_t requests;
};
void copy_receipt_get_totals(const struct copy_receipt *receipt, struct copy_receipt_totals *out);

/** The text (docs/report-format.md); the caller frees. The same content gives the same bytes. */
MIR_MUST_CHECK bool copy_receipt_format(const struct copy_receipt *receipt, char **out, size_t *len,
                                        struct mir_error *err);

#endif
