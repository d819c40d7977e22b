/*
 * One stream of bytes that lies in one file or, cut every volume_bytes, in several. Private to
 * bundle/.
 *
 * The files of a set are called BASE + SUFFIX when there is one, and BASE.001 + SUFFIX, BASE.002 +
 * SUFFIX, ... when they are volumes; while they are written SUFFIX is ".partial", and "" when they
 * are done. Nothing in the bytes tells of volumes: all of them in a row are the stream.
 *
 * Threads: a set is opened, resized, renamed and closed by one thread; reading and writing are
 * positional and may be done by many. No function changes a file position.
 */
#ifndef BUNDLE_VOLUMES_PRIV_H
#define BUNDLE_VOLUMES_PRIV_H

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

#define BUNDLE_VOLUMES_MAX     999
#define BUNDLE_VOLUME_UNIT     512 /* the size of a volume is a multiple of it */
#define BUNDLE_VOLUME_MIN      (64u << 10)
#define BUNDLE_SHARE_BLOCK     4096u /* file systems share blocks of this size, or smaller ones */
#define BUNDLE_PARTIAL_SUFFIX  ".partial"
#define BUNDLE_LEFTOVER_SUFFIX ".partial.old"

struct bundle_volumes {
    char *base;            /* PATH */
    char *suffix;          /* behind the number */
    uint64_t volume_bytes; /* of each but the last; 0: one file, without a number */
    uint64_t bytes;        /* of the stream */
    size_t count;          /* files, at least 1 */
    int *fds;              /* count of them, -1 when not open */
};

/* ---- names ---- */

/** How many volumes this many bytes make; 1 when volume_bytes is 0. */
uint64_t bundle_volumes_needed(uint64_t bytes, uint64_t volume_bytes);

/** The same, refused when they are too many. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool bundle_volumes_count(uint64_t bytes, uint64_t volume_bytes, size_t *count,
                                         struct mir_error *err);

/** "BASE.003SUFFIX"; number counts from 1, and 0 is the one file "BASESUFFIX". The caller frees. */
char *bundle_volume_name(const char *base, size_t number, const char *suffix);

/** The name of a set's file, index from 0. The caller frees. */
char *bundle_volumes_name(const struct bundle_volumes *set, size_t index);

/* ---- a set to read ---- */

/**
 * Open what path stands for: the file of that name, else the volumes PATH.001, PATH.002, ...; with
 * "PATH.001" the volumes are meant too. Volumes of any size are taken, of other tools too, if only
 * the last is smaller. Names what is missing, empty, of an odd size or no regular file; links are
 * followed. err: MIR_E_NOT_FOUND, MIR_E_FORMAT, MIR_E_LIMIT when the whole were too large for a
 * file.
 */
MIR_MUST_CHECK bool bundle_volumes_find(const char *path, struct bundle_volumes **out,
                                        struct mir_error *err);

/** Is this the name of a volume behind the first of a set that is there? Then says so in err. */
bool bundle_volumes_is_later(const char *path, struct mir_error *err);

/** Would a file of this name be a volume beside others? Then the caller frees the name of one of
 * them. */
bool bundle_volumes_has_other(const char *path, char **other);

/** Say that two volumes have each other's name. Returns false. */
bool bundle_volumes_swapped(const char *a, const char *b, struct mir_error *err);

/** Does a range lie in one file? Then which, and where in it. */
bool bundle_volumes_is_in_one(const struct bundle_volumes *set, uint64_t offset, uint64_t len,
                              int *fd, uint64_t *fd_offset);

/** ", in april.tar.002" or ", in april.tar.002 to april.tar.004", where a range lies; "" in a set
 * of one file. The caller frees. */
char *bundle_volumes_where(const struct bundle_volumes *set, uint64_t offset, uint64_t len);

/* ---- a set to write ---- */

/** A set with nothing open yet. bundle_volumes_needed() must be at most BUNDLE_VOLUMES_MAX
 * (asserted). */
struct bundle_volumes *bundle_volumes_new(const char *base, const char *suffix,
                                          uint64_t volume_bytes, uint64_t bytes);
/** Closes what is open, and with that unlocks. NULL is fine. */
void bundle_volumes_free(struct bundle_volumes *set);

/** Open or create the first file, as it is, and lock it. err: MIR_E_CONFLICT when another process
 * has it. Only regular files are opened for writing, and no links. */
MIR_MUST_CHECK bool bundle_volumes_lock(struct bundle_volumes *set, struct mir_error *err);
/** Open or create all files that are not open yet; what is in them stays. */
MIR_MUST_CHECK bool bundle_volumes_create(struct bundle_volumes *set, struct mir_error *err);
/** Open all files that are not open yet; MIR_E_NOT_FOUND when one is not there. */
MIR_MUST_CHECK bool bundle_volumes_open_all(struct bundle_volumes *set, struct mir_error *err);
/** Make all files empty, giving their blocks back. */
MIR_MUST_CHECK bool bundle_volumes_empty(struct bundle_volumes *set, struct mir_error *err);
/** Give all files their size; what is in them stays, up to there. */
MIR_MUST_CHECK bool bundle_volumes_stretch(struct bundle_volumes *set, struct mir_error *err);
/** Give all files their size, with their blocks reserved where the file system can do that; what is
 * in them stays. MIR_E_SPACE names the bytes that are needed and there. */
MIR_MUST_CHECK bool bundle_volumes_claim(struct bundle_volumes *set, struct mir_error *err);

/** Exactly these bytes, or an error that names the file. The range lies in the stream (asserted).
 */
MIR_MUST_CHECK bool bundle_volumes_pwrite(const struct bundle_volumes *set, struct mir_span bytes,
                                          uint64_t offset, struct mir_error *err);
MIR_MUST_CHECK bool bundle_volumes_pread(const struct bundle_volumes *set, void *data, size_t len,
                                         uint64_t offset, struct mir_error *err);

/** Copy a range of one set into another, sharing blocks where the file system can. The sets are
 * different files. */
MIR_MUST_CHECK bool bundle_volumes_copy(const struct bundle_volumes *from, uint64_t from_offset,
                                        const struct bundle_volumes *to, uint64_t to_offset,
                                        uint64_t len, struct mir_error *err);
/** Give the blocks of a range back, where the file system can; its bytes then read as zeros, or
 * stay. */
void bundle_volumes_punch(const struct bundle_volumes *set, uint64_t offset, uint64_t len);

/** Make the stream shorter: the last file that is left is cut, those behind it are removed. */
MIR_MUST_CHECK bool bundle_volumes_cut(struct bundle_volumes *set, uint64_t bytes,
                                       struct mir_error *err);
/** fsync all files. */
MIR_MUST_CHECK bool bundle_volumes_sync(const struct bundle_volumes *set, struct mir_error *err);

/**
 * Give the files another suffix and make that last. What stood under the new names is replaced,
 * and volumes with higher numbers there are removed. The first volume goes first and comes last,
 * so that a set is never readable while its volumes are of two kinds.
 *
 * A set whose renaming was interrupted (same base, sizes and suffixes) is finished by the same
 * call: what has the new name already is left alone. The files need not be open.
 */
MIR_MUST_CHECK bool bundle_volumes_rename(struct bundle_volumes *set, const char *suffix,
                                          struct mir_error *err);

/** Remove the files that are ours: those that are open, and still what their name stands for. */
void bundle_volumes_remove(const struct bundle_volumes *set);

/** Remove volumes of base with this suffix whose number is above count. What cannot be removed
 * stays. */
void bundle_volumes_remove_above(const char *base, const char *suffix, size_t count);

#endif
