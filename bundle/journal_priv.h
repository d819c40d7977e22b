/*
 * The journal: a small text file beside a set of files that is being written, which says where in
 * the set every blob belongs and how much of it is there. Private to bundle/.
 *
 * A line of names and sizes, then one line for each blob, all of one length, so that each is
 * overwritten in place:
 *
 *     mirror-journal 1 STATE      BYTES VOLUME_BYTES COUNT WIDTH PLAN
 *     KEY OFFSET REACHED
 *
 * Numbers are hexadecimal. KEY is the first 12 digits of the blob's hash; OFFSET and REACHED have
 * WIDTH digits; PLAN is a hash over everything that decides where blobs go. Nothing here is trusted
 * beyond what is checked when it is parsed: whoever uses bytes it speaks of hashes them first.
 * It is not synced (but for BUNDLE_JOURNAL_COMMITTING): after a power loss it may promise too much.
 *
 * Threads: lines of different blobs may be noted by different threads, without a lock.
 */
#ifndef BUNDLE_JOURNAL_PRIV_H
#define BUNDLE_JOURNAL_PRIV_H

#include "bundle/plan_priv.h"

#define BUNDLE_JOURNAL_SUFFIX ".journal"

enum bundle_journal_state {
    BUNDLE_JOURNAL_WRITING,    /* blobs are where PLAN puts them */
    BUNDLE_JOURNAL_MOVING,     /* they are where their lines say */
    BUNDLE_JOURNAL_COMMITTING, /* all is there and synced; volumes get their final names */
};

/* One blob, and where in the set it is. */
struct bundle_place {
    uint64_t key; /* of its digest; two digests may share one */
    uint64_t offset;
    uint64_t reached; /* bytes */
};

/* What a journal says. */
struct bundle_record {
    enum bundle_journal_state state;
    uint64_t bytes;        /* of the set */
    uint64_t volume_bytes; /* 0: one file */
    char plan[MIR_HASH_HEX_MAX];
    struct bundle_place *places;
    size_t count;
};

uint64_t bundle_record_key(const struct img_digest *digest);

/** The record of a plan of which nothing is reached. */
void bundle_record_of_plan(const struct bundle_plan *plan, uint64_t volume_bytes,
                           struct bundle_record *out);
/** Read a journal's text. err: MIR_E_FORMAT for anything that this file would not have written:
 * other versions, places outside the set, sizes no set can have. */
MIR_MUST_CHECK bool bundle_record_parse(struct mir_span text, struct bundle_record *out,
                                        struct mir_error *err);
void bundle_record_release(struct bundle_record *record);
#define auto_record __attribute__((cleanup(bundle_record_release))) struct bundle_record

/** Bytes that are there, of all blobs. */
uint64_t bundle_record_reached(const struct bundle_record *record);

/* ---- the file ---- */

struct bundle_journal;

/** Write a new journal; MIR_E_CONFLICT if there is one. */
MIR_MUST_CHECK bool bundle_journal_create(const char *path, const struct bundle_record *record,
                                          struct bundle_journal **out, struct mir_error *err);
/** Open and read one that is there. err: MIR_E_NOT_FOUND, or as bundle_record_parse(); a link or
 * anything else that is no regular file is refused. */
MIR_MUST_CHECK bool bundle_journal_open(const char *path, struct bundle_journal **out,
                                        struct bundle_record *record, struct mir_error *err);
/** Does this error of opening a journal, or files it speaks of, mean that there is nothing to go on
 * with: not there, not ours, not a file? All else (too many open files, a disk that fails) is
 * trouble in which nothing may be thrown away. */
bool bundle_journal_is_useless(const struct mir_error *err);
/** NULL is fine. The file stays. */
void bundle_journal_close(struct bundle_journal *journal);

/** This much of a blob, by its place in the record, is there now. */
MIR_MUST_CHECK bool bundle_journal_note(const struct bundle_journal *journal, size_t place,
                                        uint64_t reached, struct mir_error *err);
/** The same, where a line that stays as it is costs the next run a little work and no more. */
void bundle_journal_try_note(const struct bundle_journal *journal, size_t place, uint64_t reached);
/** A blob lies elsewhere now. */
MIR_MUST_CHECK bool bundle_journal_move(const struct bundle_journal *journal, size_t place,
                                        uint64_t offset, uint64_t reached, struct mir_error *err);
/** The set is in another state, and has this many bytes, which may be fewer than before.
 * BUNDLE_JOURNAL_COMMITTING is synced. */
MIR_MUST_CHECK bool bundle_journal_enter(struct bundle_journal *journal,
                                         enum bundle_journal_state state, uint64_t bytes,
                                         struct mir_error *err);

#endif
