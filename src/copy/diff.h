/*
 * What two sets of images differ in: names, and what they consist of.
 *
 * Threads: one.
 */
#ifndef COPY_DIFF_H
#define COPY_DIFF_H

#include "copy/copy.h"

/* A name that stands for different content. */
struct copy_change {
    char *name;       /* "host/repo:tag"; with the digest where there is no tag */
    const char *from; /* digest in the old set; NULL: added. Borrowed from its copy, as is `to` */
    const char *to;   /* digest in the new set; NULL: removed */
};

struct copy_amount {
    size_t count;
    uint64_t bytes;
};

struct copy_contrast {
    struct copy_amount added, removed, same;
};

struct copy_difference {
    struct copy_change *changes; /* sorted by name */
    size_t change_count;
    size_t same;                    /* names that stand for the same content */
    struct copy_contrast manifests; /* each counted once, however many images have it */
    struct copy_contrast blobs;     /* configs and layers */
};

/**
 * Compare what two planned copies name, neither of which has failed images. Blobs that a
 * differential leaves out count as its own. Both outlive *out, which copy_difference_release()
 * empties.
 */
void copy_diff(struct copy *from, struct copy *to, struct copy_difference *out);
void copy_difference_release(struct copy_difference *difference);
#define auto_difference __attribute__((cleanup(copy_difference_release))) struct copy_difference

/** Is there a name, a manifest or a blob that only one of them has? */
bool copy_difference_is_empty(const struct copy_difference *difference);
/** docs/report-format.md says what is in it. The caller owns it. */
json_t *copy_difference_json(const struct copy_difference *difference);

#endif
