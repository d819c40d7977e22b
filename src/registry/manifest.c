/*
 * Manifests: GET, HEAD and PUT. Bytes are what counts: they are kept as they came, hashed, and sent
 * on as they are.
 *
 * Spec: OCI distribution 1.1, "Pulling manifests", "Pushing manifests".
 */
#include "registry/registry_priv.h"

#include "image/manifest.h"

#define ACCEPTED                                                                                   \
    IMG_TYPE_OCI_INDEX ", " IMG_TYPE_OCI_MANIFEST ", " IMG_TYPE_DOCKER_LIST                        \
                       ", " IMG_TYPE_DOCKER_MANIFEST ", " IMG_TYPE_DOCKER_SCHEMA1_SIGNED           \
                       ", " IMG_TYPE_DOCKER_SCHEMA1                                                \
                       ", application/vnd.oci.artifact.manifest.v1+json"

const struct http_header reg_accept_manifests = {"Accept", ACCEPTED};

void reg_manifest_release(struct reg_manifest *manifest)
{
    free(manifest->bytes);
    free(manifest->media_type);
    *manifest = (struct reg_manifest){0};
}

static bool is_digest(const char *reference, struct img_digest *digest)
{
    struct mir_error ignored = MIR_ERROR_INIT;

    return img_digest_parse(mir_span_of(reference), digest, &ignored);
}

/* Docker-Content-Digest, if the registry sent one we understand. */
static bool claimed_digest(const struct http_response *response, struct img_digest *out)
{
    const char *text = http_response_header(response, "Docker-Content-Digest");

    return text && is_digest(text, out);
}

/* Content-Type without parameters, borrowed; of a server that plays foul at most REG_TYPE_MAX. */
static struct mir_span media_type_of(const struct http_response *response)
{
    const char *text = http_response_header(response, "Content-Type");
    struct mir_span type = mir_span_of(text ? text : "");
    size_t at;

    if (mir_span_find(type, ';', &at))
        type = mir_span_trim(mir_span_first(type, at));
    return type.len < REG_TYPE_MAX ? type : mir_span_of("");
}

/* The digest of the bytes, checked against the one asked for or else the one claimed. */
static bool check_bytes(const char *reference, const struct http_response *response,
                        struct img_digest *out, struct mir_error *err)
{
    struct img_digest expected;
    bool known = is_digest(reference, &expected) || claimed_digest(response, &expected);

    img_digest_of(known ? img_digest_algo(&expected) : MIR_HASH_SHA256,
                  mir_buf_span(&response->body), out);
    return !known || img_digest_check(&expected, out, err);
}

static bool get_once(struct reg_session *session, const struct reg_repo *repo,
                     const char *reference, struct reg_manifest *out, struct mir_error *err)
{
    auto_free char *path = mir_format("manifests/%s", reference);
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {.method = HTTP_GET,
                            .repo = repo,
                            .path = path,
                            .headers = &reg_accept_manifests,
                            .header_count = 1,
                            .body_max = IMG_MANIFEST_BYTES_MAX};
    struct img_digest digest;
    struct mir_span type;

    if (!reg_call_send(session, &call, &response, err))
        return false;
    if (response.status != 200)
        return reg_refuse(session, &call, &response, err);
    if (!check_bytes(reference, &response, &digest, err)) {
        auto_free char *shown = http_url_redact(response.url);

        return mir_context(err, "GET %s", shown);
    }
    type = media_type_of(&response);
    *out = (struct reg_manifest){
        .len = response.body.len, .media_type = mir_strndup(type.ptr, type.len), .digest = digest};
    out->bytes = mir_buf_take(&response.body);
    return true;
}

bool reg_manifest_get(struct reg_session *session, const struct reg_repo *repo,
                      const char *reference, struct reg_manifest *out, struct mir_error *err)
{
    struct http_backoff backoff = {0};

    if (!reg_check_names(repo, reference, err))
        return false;
    for (;;) {
        struct mir_error trouble = MIR_ERROR_INIT;

        if (get_once(session, repo, reference, out, &trouble))
            return true;
        if (trouble.code != MIR_E_DIGEST ||
            !http_backoff_wait(session->conn, &backoff, NULL, &trouble)) {
            *err = trouble;
            return false;
        }
    }
}

bool reg_manifest_find(struct reg_session *session, const struct reg_repo *repo,
                       const char *reference, struct reg_found *out, struct mir_error *err)
{
    auto_free char *path = mir_format("manifests/%s", reference);
    auto_response response = HTTP_RESPONSE_INIT;
    struct reg_call call = {.method = HTTP_HEAD,
                            .repo = repo,
                            .path = path,
                            .headers = &reg_accept_manifests,
                            .header_count = 1};
    struct mir_span type;

    if (!reg_check_names(repo, reference, err) || !reg_call_send(session, &call, &response, err))
        return false;
    if (response.status != 200 && response.status != 404)
        return reg_refuse(session, &call, &response, err);
    *out = (struct reg_found){.is_there = response.status == 200};
    if (!out->is_there)
        return true;
    (void)claimed_digest(&response, &out->digest);
    type = media_type_of(&response);
    memcpy(out->media_type, type.ptr, type.len);
    return true;
}

/* ---- putting ------------------------------------------------------------------------------- */

static bool read_span(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    const struct mir_span *bytes = ctx;

    (void)err;
    memcpy(data, bytes->ptr + offset, len);
    return true;
}

/* The registry says under which digest it keeps the bytes: has it kept these? */
static bool check_stored(struct mir_span bytes, const struct http_response *response,
                         struct mir_error *err)
{
    auto_free char *shown = http_url_redact(response->url);
    struct img_digest stored;
    struct img_digest ours;

    if (!claimed_digest(response, &stored))
        return true;
    img_digest_of(img_digest_algo(&stored), bytes, &ours);
    return img_digest_check(&ours, &stored, err) ||
           mir_context(err, "PUT %s: the registry keeps something else", shown);
}

static bool put_once(struct reg_session *session, const struct reg_repo *repo,
                     const char *reference, const char *media_type, struct mir_span bytes,
                     struct mir_error *err)
{
    auto_free char *path = mir_format("manifests/%s", reference);
    auto_response response = HTTP_RESPONSE_INIT;
    const struct http_header type = {"Content-Type", media_type};
    struct http_source source = {.read = read_span, .ctx = &bytes};
    struct reg_call call = {.method = HTTP_PUT,
                            .repo = repo,
                            .path = path,
                            .access = REG_PUSH,
                            .headers = &type,
                            .header_count = 1,
                            .source = &source,
                            .source_len = bytes.len};

    if (!reg_call_send(session, &call, &response, err))
        return false;
    if (response.status != 201 && response.status != 200 && response.status != 202 &&
        response.status != 204)
        return reg_refuse(session, &call, &response, err);
    return check_stored(bytes, &response, err);
}

/* Under a tag a registry keeps whatever arrived, so bytes that suffered on the way are replaced. */
bool reg_manifest_put(struct reg_session *session, const struct reg_repo *repo,
                      const char *reference, const char *media_type, struct mir_span bytes,
                      struct mir_error *err)
{
    struct http_backoff backoff = {0};

    if (!reg_check_names(repo, reference, err))
        return false;
    for (;;) {
        struct mir_error trouble = MIR_ERROR_INIT;

        if (put_once(session, repo, reference, media_type, bytes, &trouble))
            return true;
        if (trouble.code != MIR_E_DIGEST ||
            !http_backoff_wait(session->conn, &backoff, NULL, &trouble)) {
            *err = trouble;
            return false;
        }
    }
}
