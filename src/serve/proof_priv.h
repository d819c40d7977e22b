/*
 * What is known of the bytes of one blob: that they are what its digest says, or that they are not.
 * It holds as long as nobody writes to the files the blob lies in.
 *
 * Threads: any, at once.
 */
#ifndef SERVE_PROOF_PRIV_H
#define SERVE_PROOF_PRIV_H

#include <pthread.h>

#include "base/clock.h"
#include "base/error.h"
#include "bundle/bundle.h"

struct serve_content;

enum serve_proof_state {
    SERVE_PROOF_NONE, /* not hashed, or written to since */
    SERVE_PROOF_SOUND,
    SERVE_PROOF_DAMAGED,
};

struct serve_proof {
    pthread_mutex_t lock;
    enum serve_proof_state state;
    struct bundle_stamp stamp; /* of the files when state was found out */
};

void serve_proof_init(struct serve_proof *proof);
void serve_proof_release(struct serve_proof *proof);

/** What is known now. stamp is that of the files now, for who goes on to hash; false when they
 * cannot even be looked at. */
MIR_MUST_CHECK bool serve_proof_get(struct serve_content *content, enum serve_proof_state *state,
                                    struct bundle_stamp *stamp, struct mir_error *err);

/** Is the stamp still what it was? */
bool serve_proof_is_unchanged(const struct serve_content *content,
                              const struct bundle_stamp *stamp);

/** Note what hashing found. stamp was taken before the first byte was read: if the files have
 * changed since, nothing is noted. */
void serve_proof_set(struct serve_content *content, enum serve_proof_state state,
                     const struct bundle_stamp *stamp);

/** Take over what is known of the same bytes in another catalog. */
void serve_proof_take(struct serve_content *content, struct serve_content *from);

/** Put into the error which bundle is damaged, and where: in which volumes. False. */
bool serve_proof_damaged(const struct serve_content *content, struct mir_error *err);

/** Hash the whole blob, unless it is known. err: MIR_E_DIGEST when it is damaged, MIR_E_CANCELLED.
 */
MIR_MUST_CHECK bool serve_proof_make(struct serve_content *content, const struct mir_cancel *cancel,
                                     struct mir_error *err);

#endif
