/*
 * The two forms of a reader, and what they share. Private to bundle/. reader.c is the public side;
 * reader_tar.c and reader_dir.c find out what is there.
 *
 * Threads: read-only once opened.
 */
#ifndef BUNDLE_READER_PRIV_H
#define BUNDLE_READER_PRIV_H

#include "bundle/base_priv.h"
#include "bundle/bundle.h"
#include "bundle/layout_priv.h"

struct bundle_pipe_in;
struct bundle_volumes;

struct bundle_entry {
    struct bundle_blob blob;
    uint64_t offset; /* of its bytes in the tar; 0 in a directory */
};

/* A small file of the layout in the tar. */
struct bundle_extent {
    bool found;
    uint64_t offset;
    uint64_t size;
};

struct bundle_reader {
    enum bundle_form form;
    char *path;
    struct bundle_entry *entries; /* sorted by digest */
    size_t entry_count;
    size_t entry_capacity;
    struct bundle_names names;
    struct img_digest index_digest; /* of index.json */
    struct bundle_base_read *base;  /* NULL: a whole bundle */

    /* BUNDLE_FORM_DIR */
    int fd; /* the directory */

    /* BUNDLE_FORM_TAR */
    struct bundle_volumes *volumes;
    struct bundle_extent layout, index, base_file;
    struct bundle_pipe_in *pipe; /* BUNDLE_FORM_PIPE, else NULL */
    char **trouble; /* of each entry, what hashing it on its way found wrong (verify_pipe.c) */
    bool has_docker_manifest; /* manifest.json: perhaps the archive of "docker save" */
};

/** Open the file and note where everything is. */
MIR_MUST_CHECK bool bundle_tar_scan(struct bundle_reader *reader, struct mir_error *err);
/** Would these volumes be read as a bundle? Changes nothing. */
bool bundle_tar_is_sound(struct bundle_volumes *set);

/* What is wrong with a set of volumes (reader_volumes.c). Each returns false, with the names. */

/** The bundle is longer: it has at least needed bytes. */
bool bundle_set_is_short(const struct bundle_volumes *set, uint64_t needed, struct mir_error *err);
/** At this place of the stream there should be a header, and there is none. */
bool bundle_set_is_misplaced(struct bundle_volumes *set, uint64_t place, struct mir_error *err);
/** The archive ends here. True if that is in the last volume, or nothing but zeros follows. */
MIR_MUST_CHECK bool bundle_set_check_end(struct bundle_volumes *set, uint64_t end,
                                         struct mir_error *err);

/** Open the directory and note what is there. */
MIR_MUST_CHECK bool bundle_dir_scan(struct bundle_reader *reader, struct mir_error *err);

/** Read a small file of the layout; extent is where it lies in a tar. The caller frees *text. */
MIR_MUST_CHECK bool bundle_reader_read_small(const struct bundle_reader *reader, const char *name,
                                             const struct bundle_extent *extent, size_t max,
                                             char **text, size_t *len, struct mir_error *err);
/** Read mirror-base.json, if there is one (reader_base.c). */
MIR_MUST_CHECK bool bundle_reader_read_base(struct bundle_reader *reader, struct mir_error *err);

/** Note a blob. MIR_E_LIMIT when there are too many. */
MIR_MUST_CHECK bool bundle_reader_add(struct bundle_reader *reader, const struct img_digest *digest,
                                      uint64_t size, uint64_t offset, struct mir_error *err);

/** The entry of a digest, or NULL. */
const struct bundle_entry *bundle_reader_entry(const struct bundle_reader *reader,
                                               const struct img_digest *digest);

/** Open a blob's file in a directory; it is a regular file. */
MIR_MUST_CHECK bool bundle_dir_open_blob(const struct bundle_reader *reader,
                                         const struct img_digest *digest, int *fd,
                                         struct mir_error *err);

#endif
