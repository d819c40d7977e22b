/*
 * Proofs that blobs are sound. They are found by who sends a blob whole (body.c), by hashing before
 * a part is sent, or at the start for all; and are worth nothing once a file was written to.
 */
#include "serve/proof_priv.h"

#include "base/mem.h"
#include "serve/catalog_priv.h"

void serve_proof_init(struct serve_proof *proof)
{
    (void)pthread_mutex_init(&proof->lock, NULL);
    proof->state = SERVE_PROOF_NONE;
}

void serve_proof_release(struct serve_proof *proof)
{
    (void)pthread_mutex_destroy(&proof->lock);
}

static bool is_same_stamp(const struct bundle_stamp *a, const struct bundle_stamp *b)
{
    return strcmp(a->text, b->text) == 0;
}

bool serve_proof_get(struct serve_content *content, enum serve_proof_state *state,
                     struct bundle_stamp *stamp, struct mir_error *err)
{
    struct serve_proof *proof = &content->proof;

    if (!bundle_reader_stamp(content->reader, content->blob, stamp, err))
        return false;
    (void)pthread_mutex_lock(&proof->lock);
    *state = is_same_stamp(&proof->stamp, stamp) ? proof->state : SERVE_PROOF_NONE;
    (void)pthread_mutex_unlock(&proof->lock);
    return true;
}

bool serve_proof_is_unchanged(const struct serve_content *content, const struct bundle_stamp *stamp)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* what cannot be looked at has changed */
    struct bundle_stamp now;

    return bundle_reader_stamp(content->reader, content->blob, &now, &ignored) &&
           is_same_stamp(&now, stamp);
}

void serve_proof_set(struct serve_content *content, enum serve_proof_state state,
                     const struct bundle_stamp *stamp)
{
    struct serve_proof *proof = &content->proof;

    if (!serve_proof_is_unchanged(content, stamp))
        return;
    (void)pthread_mutex_lock(&proof->lock);
    proof->state = state;
    proof->stamp = *stamp;
    (void)pthread_mutex_unlock(&proof->lock);
}

void serve_proof_take(struct serve_content *content, struct serve_content *from)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* then it is hashed again */
    enum serve_proof_state state;
    struct bundle_stamp stamp;

    if (serve_proof_get(from, &state, &stamp, &ignored))
        serve_proof_set(content, state, &stamp);
}

bool serve_proof_make(struct serve_content *content, const struct mir_cancel *cancel,
                      struct mir_error *err)
{
    enum serve_proof_state state;
    struct bundle_stamp stamp;
    struct img_digest got;

    if (!serve_proof_get(content, &state, &stamp, err))
        return false;
    if (state == SERVE_PROOF_SOUND)
        return true;
    if (state == SERVE_PROOF_DAMAGED)
        return mir_fail(err, MIR_E_DIGEST, "%s is damaged: %s is not what its digest says",
                        bundle_reader_path(content->reader), content->blob->digest.text);
    if (!bundle_reader_hash(content->reader, content->blob, cancel, &got, err))
        return false;
    if (img_digest_check(&content->blob->digest, &got, err)) {
        serve_proof_set(content, SERVE_PROOF_SOUND, &stamp);
        return true;
    }
    serve_proof_set(content, SERVE_PROOF_DAMAGED, &stamp);
    return serve_proof_damaged(content, err);
}

bool serve_proof_damaged(const struct serve_content *content, struct mir_error *err)
{
    auto_free char *where = bundle_reader_where(content->reader, &content->blob->digest);

    return mir_context(err, "%s is damaged%s", bundle_reader_path(content->reader), where);
}
