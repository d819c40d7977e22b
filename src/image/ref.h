/*
 * Image references: host[:port]/repository[:tag][@digest].
 *
 * Spec: OCI distribution 1.1, "Pulling manifests". Threads: plain values.
 */
#ifndef IMAGE_REF_H
#define IMAGE_REF_H

#include "base/error.h"
#include "base/span.h"
#include "image/digest.h"

#define IMG_REF_MAX 1024 /* bytes of a whole reference */
#define IMG_TAG_MAX 128

struct img_ref {
    char *host; /* with its port, as written */
    char *repo; /* path below the host */
    char *tag;  /* NULL if none */
    bool has_digest;
    struct img_digest digest; /* valid if has_digest */
};

/**
 * Parse a reference. It may carry a tag, a digest, both, or none (none is not "latest": callers
 * decide).
 *
 * text  borrowed; need not end in NUL; at most IMG_REF_MAX bytes.
 * out   written only on success; empty it with img_ref_release().
 * err   MIR_E_FORMAT, naming the reference and what is wrong at which byte; MIR_E_LIMIT; or
 *       MIR_E_UNSUPPORTED for a digest algorithm.
 *
 * Short names are refused: the part before the first '/' must be "localhost" or contain '.' or ':'.
 * "docker.io/busybox" becomes repository "library/busybox", as every other tool reads it.
 */
MIR_MUST_CHECK bool img_ref_parse(struct mir_span text, struct img_ref *out, struct mir_error *err);
void img_ref_release(struct img_ref *ref);
#define auto_ref __attribute__((cleanup(img_ref_release))) struct img_ref

/** A copy that owns its strings. */
void img_ref_copy(const struct img_ref *ref, struct img_ref *out);

/** The canonical text; the caller frees. */
char *img_ref_format(const struct img_ref *ref);
/** "host/repo"; the caller frees. */
char *img_ref_format_repo(const struct img_ref *ref);

/** Is it a host with optional port (letters, digits, '.', '-', IPv6 in brackets)? */
bool img_is_host(struct mir_span text);
/** Is it a repository path: lower-case components joined by '/'? */
bool img_is_repo(struct mir_span text);
bool img_is_tag(struct mir_span text);

#endif
