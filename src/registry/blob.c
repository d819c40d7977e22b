/*
 * Blobs coming in: GET with hashing on the way, and HEAD. Foreign layers are fetched from where
 * their descriptor says when the registry does not have them.
 *
 * Invariant: success means the bytes the sink got since its last restart, after the offset if there
 * was none, are those the digest names.
 */
#include "registry/registry_priv.h"

#include <inttypes.h>

/* What stands between the network and the caller's sink. */
struct intake {
    struct mir_hash *hash;
    const struct reg_blob_sink *sink;
};

static bool intake_write(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    const struct intake *intake = ctx;

    mir_hash_update(intake->hash, bytes);
    return intake->sink->write(intake->sink->ctx, bytes, err);
}

/* ---- foreign layers ------------------------------------------------------------------------ */

/* One of the places a foreign layer may be at. The URL comes from a manifest: no credentials. */
static bool fetch_foreign(struct reg_session *session, const char *url,
                          const struct img_descriptor *blob, const struct http_sink *sink,
                          uint64_t *reached, struct mir_error *err)
{
    auto_free char *clean = NULL;
    auto_response response = HTTP_RESPONSE_INIT;
    struct http_request request = {
        .method = HTTP_GET, .sink = sink, .offset = *reached, .has_size = true, .size = blob->size};
    bool ok;

    if (!http_url_resolve(url, url, &clean, err) ||
        !reg_url_tls(session, clean, false, &request, err))
        return false;
    request.url = clean;
    ok = http_send(session->conn, &request, &response, err);
    *reached = response.reached > *reached ? response.reached : *reached;
    if (ok && response.status != 200 && response.status != 206) {
        auto_free char *shown = http_url_redact(clean);
        auto_free char *words = http_status_text(response.status);

        ok = mir_fail(err, MIR_E_NOT_FOUND, "GET %s: %s", shown, words);
    }
    return ok;
}

static bool fetch_foreign_any(struct reg_session *session, const struct img_descriptor *blob,
                              const struct http_sink *sink, uint64_t reached, struct mir_error *err)
{
    for (size_t i = 0; i < blob->url_count; i++) {
        struct mir_error trouble = MIR_ERROR_INIT;

        if (fetch_foreign(session, blob->urls[i], blob, sink, &reached, &trouble))
            return true;
        if (trouble.code == MIR_E_CANCELLED || i + 1 == blob->url_count) {
            *err = trouble;
            return false;
        }
        mir_log(session->client->options.sink, MIR_LEVEL_DEBUG, "%s; trying the next URL",
                trouble.text);
    }
    return mir_fail(err, MIR_E_NOT_FOUND, "no URL to fetch it from");
}

/* ---- getting ------------------------------------------------------------------------------- */

static bool fetch(struct reg_session *session, const struct reg_repo *repo,
                  const struct img_descriptor *blob, uint64_t offset, const struct http_sink *sink,
                  struct mir_error *err)
{
    auto_free char *path = mir_format("blobs/%s", blob->digest.text);
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {.method = HTTP_GET,
                            .repo = repo,
                            .path = path,
                            .sink = sink,
                            .offset = offset,
                            .has_size = true,
                            .size = blob->size};

    if (!reg_call_send(session, &call, &response, err))
        return false;
    if (response.status == 200 || response.status == 206)
        return true;
    if (response.status == 404 && blob->url_count > 0)
        return fetch_foreign_any(session, blob, sink, response.reached, err);
    return reg_refuse(session, &call, &response, err);
}

static bool check_digest(const struct reg_repo *repo, const struct img_descriptor *blob,
                         struct mir_hash *hash, struct mir_error *err)
{
    struct img_digest got;

    img_digest_from_hash(img_digest_algo(&blob->digest), hash, &got);
    return img_digest_check(&blob->digest, &got, err) ||
           mir_context(err, "blob of %s/%s", repo->host, repo->name);
}

static bool fetch_checked(struct reg_session *session, const struct reg_repo *repo,
                          const struct img_descriptor *blob, uint64_t offset, struct intake *intake,
                          struct mir_error *err)
{
    struct http_sink to = {.write = intake_write, .ctx = intake};

    /* Nothing left to ask for; a range behind the end would be refused. */
    if ((offset < blob->size || blob->size == 0) && !fetch(session, repo, blob, offset, &to, err))
        return false;
    return check_digest(repo, blob, intake->hash, err);
}

bool reg_blob_get(struct reg_session *session, const struct reg_repo *repo,
                  const struct img_descriptor *blob, uint64_t offset, struct mir_hash *hash,
                  const struct reg_blob_sink *sink, struct mir_error *err)
{
    auto_hash *own = hash ? NULL : mir_hash_new(img_digest_algo(&blob->digest));
    struct intake intake = {.hash = hash ? hash : own, .sink = sink};
    struct http_backoff backoff = {0};

    if (!reg_check_names(repo, NULL, err))
        return false;
    if (offset > blob->size)
        return mir_fail(err, MIR_E_DIGEST,
                        "blob %s: %" PRIu64 " bytes are there already, it has only %" PRIu64,
                        blob->digest.text, offset, blob->size);
    for (;; offset = 0) {
        struct mir_error trouble = MIR_ERROR_INIT;

        if (fetch_checked(session, repo, blob, offset, &intake, &trouble))
            return true;
        if (trouble.code != MIR_E_DIGEST || !sink->restart ||
            (offset == 0 && !http_backoff_wait(session->conn, &backoff, NULL, &trouble))) {
            *err = trouble;
            return false;
        }
        mir_hash_reset(intake.hash);
        sink->restart(sink->ctx);
    }
}

bool reg_blob_find(struct reg_session *session, const struct reg_repo *repo,
                   const struct img_digest *digest, bool *found, struct mir_error *err)
{
    auto_free char *path = mir_format("blobs/%s", digest->text);
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {.method = HTTP_HEAD, .repo = repo, .path = path};

    if (!reg_check_names(repo, NULL, err) || !reg_call_send(session, &call, &response, err))
        return false;
    if (response.status != 200 && response.status != 404)
        return reg_refuse(session, &call, &response, err);
    *found = response.status == 200;
    return true;
}
