/*
 * What both readers of tars, in place and from a pipe, refuse of an entry. Private to bundle/.
 *
 * Threads: no shared state.
 */
#ifndef BUNDLE_TAR_ENTRY_PRIV_H
#define BUNDLE_TAR_ENTRY_PRIV_H

#include <archive_entry.h>

#include "base/error.h"
#include "base/span.h"

#define BUNDLE_BAD_NAME  "has a name that has no place in an OCI image layout"
#define BUNDLE_BAD_PLACE "does not begin where the one before it ends"
#define BUNDLE_IS_TWICE  "is there twice"
#define BUNDLE_DOCKER_HINT                                                                         \
    "an archive of \"docker save\": convert it with skopeo copy "                                  \
    "docker-archive:FILE oci-archive:FILE"

/** MIR_E_FORMAT: "PATH: entry NAME WHY". Returns false. */
bool bundle_entry_refuse(const char *path, const char *name, const char *why,
                         struct mir_error *err);

/** Is it a plain file, or a directory, with a name that can be read? path is what errors call the
 * archive; *name is borrowed from the entry. err: MIR_E_FORMAT. */
MIR_MUST_CHECK bool bundle_entry_check(struct archive_entry *entry, const char *path,
                                       const char **name, struct mir_error *err);

struct bundle_compression {
    const char *magic, *what, *remedy;
    size_t len;
};

/** How the bytes at the start of a file say that it is compressed; NULL if they do not. */
const struct bundle_compression *bundle_compression_of(struct mir_span start);

#endif
