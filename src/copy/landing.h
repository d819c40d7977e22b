/*
 * Where an image lands in a registry: the rule that copying and emitting cluster objects share.
 *
 * Threads: plain values.
 */
#ifndef COPY_LANDING_H
#define COPY_LANDING_H

#include "base/error.h"
#include "image/ref.h"

struct copy_landing {
    char *host;
    char *path;         /* a repository (exact) or a prefix; "" for none */
    char *tag;          /* exact only; NULL if none */
    bool exact;         /* one image goes to exactly this repository */
    bool keep_host;     /* the source host becomes the first component below the prefix */
    unsigned max_depth; /* components of the whole repository; deeper ones join with '-'; 0: any */
    bool digest_tags;   /* images known by digest alone also get a "pinned-" tag */
};

/** Read "host[/prefix][/]" as a prefix. err: MIR_E_USAGE. Options stay as they are in *out. */
MIR_MUST_CHECK bool copy_landing_parse_prefix(const char *text, struct copy_landing *out,
                                              struct mir_error *err);
/** Read "host/repo[:tag]" as the one place of one image. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool copy_landing_parse_exact(const char *text, struct copy_landing *out,
                                             struct mir_error *err);
void copy_landing_release(struct copy_landing *landing);
#define auto_landing __attribute__((cleanup(copy_landing_release))) struct copy_landing

/**
 * Where a source image goes. out gets host, repository and, where the landing or the source has
 * one, a tag; with digest_tags an image without any tag gets "pinned-" and the first 16 hex digits
 * of its digest. out->has_digest is copied from the source.
 * err: MIR_E_USAGE when the source's path makes no valid repository there.
 */
MIR_MUST_CHECK bool copy_landing_of(const struct copy_landing *landing,
                                    const struct img_ref *source, struct img_ref *out,
                                    struct mir_error *err);

#endif
