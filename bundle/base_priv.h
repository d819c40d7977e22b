/*
 * mirror-base.json: what a differential bundle leaves out, and which bundle has it. Private to
 * bundle/. The format is described in docs/bundle-format.md.
 *
 * Threads: no shared state; what was read is read-only.
 */
#ifndef BUNDLE_BASE_PRIV_H
#define BUNDLE_BASE_PRIV_H

#include "bundle/base.h"

#define BUNDLE_BASE_FILE     "mirror-base.json"
#define BUNDLE_BASE_MAX      (1u << 30) /* bytes of mirror-base.json */
#define BUNDLE_BASE_LINE_MAX 4096       /* bytes of one line of it */

/** The text of mirror-base.json. The same base gives the same bytes; the caller frees *out.
 * err: MIR_E_FORMAT when a name is not UTF-8, MIR_E_LIMIT. */
MIR_MUST_CHECK bool bundle_base_format(const struct bundle_base *base, char **out, size_t *len,
                                       struct mir_error *err);

/* A base that was read, and what it points into. */
struct bundle_base_read {
    struct bundle_base base;
    char *name;
    char *mirror; /* or NULL */
    struct bundle_left_out *blobs;
    char **repos; /* each name once */
    size_t repo_count, repo_capacity;
};

/** Read mirror-base.json; name is what errors call it. It is taken line by line, so that a million
 * entries cost little more than the entries themselves. err: MIR_E_FORMAT naming the line,
 * MIR_E_UNSUPPORTED for another version, MIR_E_LIMIT. The caller frees *out. */
MIR_MUST_CHECK bool bundle_base_parse(struct mir_span text, const char *name,
                                      struct bundle_base_read **out, struct mir_error *err);
/** NULL is fine. */
void bundle_base_read_free(struct bundle_base_read *read);

/** The entry of a digest, or NULL. */
const struct bundle_left_out *bundle_base_find(const struct bundle_base *base,
                                               const struct img_digest *digest);

/** Are the entries sorted by digest, each once? */
bool bundle_base_is_sorted(const struct bundle_base *base);

#endif
