/*
 * serve against the OCI distribution specification 1.1: what it says of "pull" and of "content
 * discovery", a row each, in the order of its text. The rows of refusals have the code that the
 * specification names; all bodies of refusals are held against its grammar.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/manifest.h"
#include "lib/serve_bench.h"

#define REPO "team/app"

/* In targets and headers: {index} {child} {layer} {other} {nobody} are digests. */
struct row {
    const char *label, *method, *target, *headers;
    unsigned status;
    const char *code; /* of a refusal; NULL: of none */
    const char *type; /* Content-Type; NULL: any */
    const char *body; /* a digest the body hashes to, or a text in it; NULL: any; "": none */
    const char *header, *value; /* one more; value NULL: it is not there */
};

#define PULL(what) "/v2/" REPO "/" what
#define INDEX_TYPE IMG_TYPE_OCI_INDEX
#define IMAGE_TYPE IMG_TYPE_OCI_MANIFEST
#define BLOB_TYPE  "application/octet-stream"
#define DIGEST     "Docker-Content-Digest"

static const struct row rows[] = {
    /* Determining support */
    {"base", "GET", "/v2/", "", 200, NULL, NULL, NULL, "Docker-Distribution-Api-Version",
     "registry/2.0"},
    {"base without slash", "GET", "/v2", "", 200, NULL, NULL, NULL, NULL, NULL},
    {"head of base", "HEAD", "/v2/", "", 200, NULL, NULL, "", NULL, NULL},

    /* Pulling manifests */
    {"manifest by tag", "GET", PULL("manifests/1"), "", 200, NULL, INDEX_TYPE, "{index}", DIGEST,
     "{index}"},
    {"manifest by digest", "GET", PULL("manifests/{index}"), "", 200, NULL, INDEX_TYPE, "{index}",
     DIGEST, "{index}"},
    {"a child by digest", "GET", PULL("manifests/{child}"), "", 200, NULL, IMAGE_TYPE, "{child}",
     DIGEST, "{child}"},
    {"whatever is accepted", "GET", PULL("manifests/1"), "Accept: application/json\r\n", 200, NULL,
     INDEX_TYPE, "{index}", NULL, NULL},
    {"accepting many types", "GET", PULL("manifests/1"),
     "Accept: " IMAGE_TYPE ", " INDEX_TYPE "\r\nAccept: */*\r\n", 200, NULL, INDEX_TYPE, "{index}",
     NULL, NULL},
    {"docker schema 2", "GET", "/v2/" SERVE_BENCH_HOST "/" REPO "/manifests/2", "", 200, NULL,
     IMG_TYPE_DOCKER_MANIFEST, "{other}", DIGEST, "{other}"},
    {"manifest with an ETag", "GET", PULL("manifests/1"), "", 200, NULL, NULL, NULL, "ETag",
     "\"{index}\""},
    {"manifest that is known", "GET", PULL("manifests/1"), "If-None-Match: \"{index}\"\r\n", 304,
     NULL, NULL, "", "ETag", "\"{index}\""},
    {"manifest that is known weakly", "GET", PULL("manifests/1"),
     "If-None-Match: \"a\", W/\"{index}\"\r\n", 304, NULL, NULL, "", NULL, NULL},
    {"manifest that is not known", "GET", PULL("manifests/1"), "If-None-Match: \"{child}\"\r\n",
     200, NULL, NULL, "{index}", NULL, NULL},
    {"anything is known", "GET", PULL("manifests/1"), "If-None-Match: *\r\n", 304, NULL, NULL, "",
     NULL, NULL},
    {"unknown tag", "GET", PULL("manifests/none"), "", 404, "MANIFEST_UNKNOWN", NULL, NULL, NULL,
     NULL},
    {"what cannot be a tag", "GET", PULL("manifests/.none"), "", 404, "MANIFEST_UNKNOWN", NULL,
     NULL, NULL, NULL},
    {"unknown digest", "GET", PULL("manifests/{nobody}"), "", 404, "MANIFEST_UNKNOWN", NULL, NULL,
     NULL, NULL},
    {"no digest", "GET", PULL("manifests/sha256:totallywrong"), "", 400, "DIGEST_INVALID", NULL,
     NULL, NULL, NULL},
    {"unknown repository", "GET", "/v2/no/such/manifests/1", "", 404, "NAME_UNKNOWN", NULL, NULL,
     NULL, NULL},
    {"no repository", "GET", "/v2/No/Such/manifests/1", "", 400, "NAME_INVALID", NULL, NULL, NULL,
     NULL},

    /* Pulling blobs */
    {"blob", "GET", PULL("blobs/{layer}"), "", 200, NULL, BLOB_TYPE, "{layer}", DIGEST, "{layer}"},
    {"blob with an ETag", "GET", PULL("blobs/{layer}"), "", 200, NULL, NULL, NULL, "ETag",
     "\"{layer}\""},
    {"blob that is known", "GET", PULL("blobs/{layer}"), "If-None-Match: \"{layer}\"\r\n", 304,
     NULL, NULL, "", NULL, NULL},
    {"blob in parts", "GET", PULL("blobs/{layer}"), "", 200, NULL, NULL, NULL, "Accept-Ranges",
     "bytes"},
    {"first bytes", "GET", PULL("blobs/{layer}"), "Range: bytes=0-9\r\n", 206, NULL, NULL, NULL,
     "Content-Length", "10"},
    {"all bytes", "GET", PULL("blobs/{layer}"), "Range: bytes=0-\r\n", 206, NULL, NULL, "{layer}",
     NULL, NULL},
    {"past the end", "GET", PULL("blobs/{layer}"), "Range: bytes=99999999-\r\n", 416, NULL, NULL,
     "", NULL, NULL},
    {"a manifest as a blob", "GET", PULL("blobs/{child}"), "", 200, NULL, BLOB_TYPE, "{child}",
     NULL, NULL},
    {"unknown blob", "GET", PULL("blobs/{nobody}"), "", 404, "BLOB_UNKNOWN", NULL, NULL, NULL,
     NULL},
    {"no digest of a blob", "GET", PULL("blobs/1"), "", 400, "DIGEST_INVALID", NULL, NULL, NULL,
     NULL},
    {"blob of an unknown repository", "GET", "/v2/no/such/blobs/{layer}", "", 404, "NAME_UNKNOWN",
     NULL, NULL, NULL, NULL},

    /* Checking if content exists */
    {"head of a manifest by tag", "HEAD", PULL("manifests/1"), "", 200, NULL, INDEX_TYPE, "",
     DIGEST, "{index}"},
    {"head of a manifest by digest", "HEAD", PULL("manifests/{child}"), "", 200, NULL, IMAGE_TYPE,
     "", DIGEST, "{child}"},
    {"head of a blob", "HEAD", PULL("blobs/{layer}"), "", 200, NULL, BLOB_TYPE, "", DIGEST,
     "{layer}"},
    {"head of an unknown tag", "HEAD", PULL("manifests/none"), "", 404, NULL, NULL, "", NULL, NULL},
    {"head of an unknown digest", "HEAD", PULL("manifests/{nobody}"), "", 404, NULL, NULL, "", NULL,
     NULL},
    {"head of an unknown blob", "HEAD", PULL("blobs/{nobody}"), "", 404, NULL, NULL, "", NULL,
     NULL},
    {"head of an unknown repository", "HEAD", "/v2/no/such/manifests/1", "", 404, NULL, NULL, "",
     NULL, NULL},

    /* Content discovery: tags */
    {"tags", "GET", PULL("tags/list"), "", 200, NULL, "application/json",
     "{\"name\":\"" REPO "\",\"tags\":[\"1\",\"sbom\"]}", "Link", NULL},
    {"tags, one at a time", "GET", PULL("tags/list?n=1"), "", 200, NULL, NULL, "\"tags\":[\"1\"]",
     "Link", "</v2/" REPO "/tags/list?last=1&n=1>; rel=\"next\""},
    {"tags, the next", "GET", PULL("tags/list?last=1&n=1"), "", 200, NULL, NULL,
     "\"tags\":[\"sbom\"]", "Link", NULL},
    {"tags after one that is not there", "GET", PULL("tags/list?last=2"), "", 200, NULL, NULL,
     "\"tags\":[\"sbom\"]", NULL, NULL},
    {"tags, none", "GET", PULL("tags/list?n=0"), "", 200, NULL, NULL, "\"tags\":[]", "Link", NULL},
    {"tags after the last", "GET", PULL("tags/list?last=z"), "", 200, NULL, NULL, "\"tags\":[]",
     "Link", NULL},
    {"tags, more than there are", "GET", PULL("tags/list?n=1000"), "", 200, NULL, NULL,
     "[\"1\",\"sbom\"]", "Link", NULL},
    {"tags, no number", "GET", PULL("tags/list?n=x"), "", 400, "PAGINATION_NUMBER_INVALID", NULL,
     NULL, NULL, NULL},
    {"tags of an unknown repository", "GET", "/v2/no/such/tags/list", "", 404, "NAME_UNKNOWN", NULL,
     NULL, NULL, NULL},

    /* Content discovery: referrers */
    {"referrers", "GET", PULL("referrers/{index}"), "", 200, NULL, INDEX_TYPE,
     "\"artifactType\":\"application/vnd.x.sbom\"", "OCI-Filters-Applied", NULL},
    {"referrers of one type", "GET", PULL("referrers/{index}?artifactType=application/vnd.x.sbom"),
     "", 200, NULL, INDEX_TYPE, "\"artifactType\":\"application/vnd.x.sbom\"",
     "OCI-Filters-Applied", "artifactType"},
    {"referrers of one type, encoded", "GET",
     PULL("referrers/{index}?artifactType=application%2Fvnd.x.sbom"), "", 200, NULL, NULL,
     "vnd.x.sbom", "OCI-Filters-Applied", "artifactType"},
    {"referrers of another type", "GET", PULL("referrers/{index}?artifactType=a/b"), "", 200, NULL,
     INDEX_TYPE, "\"manifests\":[]", "OCI-Filters-Applied", "artifactType"},
    {"referrers of what is not there", "GET", PULL("referrers/{nobody}"), "", 200, NULL, INDEX_TYPE,
     "\"manifests\":[]", NULL, NULL},
    {"referrers of no digest", "GET", PULL("referrers/1"), "", 400, "DIGEST_INVALID", NULL, NULL,
     NULL, NULL},
    {"referrers in an unknown repository", "GET", "/v2/no/such/referrers/{index}", "", 404,
     "NAME_UNKNOWN", NULL, NULL, NULL, NULL},

    /* Not in the specification any more, and asked for by many: the catalog */
    {"catalog", "GET", "/v2/_catalog", "", 200, NULL, "application/json", "\"" REPO "\"", "Link",
     NULL},
    {"catalog, a page", "GET", "/v2/_catalog?n=1", "", 200, NULL, NULL,
     "[\"elsewhere.invalid/team/app\"]", "Link",
     "</v2/_catalog?last=elsewhere.invalid%2Fteam%2Fapp&n=1>; rel=\"next\""},

    /* Push and content management, which a read-only registry has to refuse */
    {"upload", "POST", PULL("blobs/uploads/"), "", 405, "UNSUPPORTED", NULL, NULL, "Allow",
     "GET, HEAD"},
    {"upload in one", "POST", PULL("blobs/uploads/?digest={nobody}"), "", 405, "UNSUPPORTED", NULL,
     NULL, NULL, NULL},
    {"mount", "POST", PULL("blobs/uploads/?mount={layer}&from=a"), "", 405, "UNSUPPORTED", NULL,
     NULL, NULL, NULL},
    {"upload of a part", "PATCH", PULL("blobs/uploads/1"), "", 405, "UNSUPPORTED", NULL, NULL, NULL,
     NULL},
    {"end of an upload", "PUT", PULL("blobs/uploads/1?digest={nobody}"), "", 405, "UNSUPPORTED",
     NULL, NULL, NULL, NULL},
    {"upload of a manifest", "PUT", PULL("manifests/1"), "", 405, "UNSUPPORTED", NULL, NULL, NULL,
     NULL},
    {"upload of a manifest under no digest", "PUT", PULL("manifests/sha256:totallywrong"), "", 400,
     "DIGEST_INVALID", NULL, NULL, NULL, NULL},
    {"upload into no repository", "PUT", "/v2/No/Such/manifests/1", "", 400, "NAME_INVALID", NULL,
     NULL, NULL, NULL},
    {"deleting a manifest", "DELETE", PULL("manifests/{index}"), "", 405, "UNSUPPORTED", NULL, NULL,
     NULL, NULL},
    {"deleting a tag", "DELETE", PULL("manifests/1"), "", 405, "UNSUPPORTED", NULL, NULL, NULL,
     NULL},
    {"deleting a blob", "DELETE", PULL("blobs/{layer}"), "", 405, "UNSUPPORTED", NULL, NULL, NULL,
     NULL},

    /* Beside the protocol */
    {"health", "GET", "/healthz", "", 200, NULL, "text/plain", "ok\n", NULL, NULL},
    {"no endpoint", "GET", "/v1/_ping", "", 404, "UNSUPPORTED", NULL, NULL, NULL, NULL},
};

/* The digest a word in braces stands for. */
static const char *digest_of(const struct serve_bench *b, struct mir_span word)
{
    const struct {
        const char *word, *digest;
    } words[] = {{"index", b->index.digest.text},
                 {"child", b->child.digest.text},
                 {"layer", b->layer.text},
                 {"other", b->other.digest.text},
                 {"nobody", SERVE_BENCH_NOBODY}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (mir_span_is(word, words[i].word))
            return words[i].digest;
    return NULL;
}

/* With digests in place of words. The caller frees. */
static char *fill_in(const struct serve_bench *b, const char *text)
{
    struct mir_span rest = mir_span_of(text);
    struct mir_buf out;
    size_t open, close;

    mir_buf_init(&out, 4096);
    while (mir_span_find(rest, '{', &open) &&
           mir_span_find(mir_span_from(rest, open), '}', &close)) {
        struct mir_span word = mir_span(rest.ptr + open + 1, close - 1);
        const char *digest = digest_of(b, word);

        mir_buf_add(&out, mir_span_first(rest, digest ? open : open + 1));
        if (digest)
            mir_buf_text(&out, digest);
        rest = mir_span_from(rest, digest ? open + close + 1 : open + 1);
    }
    mir_buf_add(&out, rest);
    return mir_buf_take(&out);
}

static bool is_digest_of(const char *want, const struct serve_reply *reply)
{
    struct img_digest got;

    img_digest_of(MIR_HASH_SHA256, mir_span(reply->body, reply->body_len), &got);
    return strcmp(want, got.text) == 0;
}

static bool has_body(const char *want, const struct serve_reply *reply)
{
    if (!want)
        return true;
    if (want[0] == '\0')
        return reply->body_len == 0;
    return mir_starts_with(want, "sha256:") ? is_digest_of(want, reply)
                                            : strstr(reply->body, want) != NULL;
}

static bool is_header(const struct serve_reply *reply, const char *name, const char *want)
{
    auto_free char *got = serve_reply_header(reply, name);

    return want ? got && strcmp(got, want) == 0 : !got;
}

/* Spec: "Error Codes": {"errors": [{"code": ..., "message": ...}]}, as JSON. */
static bool is_refusal(const struct serve_reply *reply, const char *want)
{
    auto_free char *code = serve_reply_code(reply);

    return strcmp(code, want) == 0 && is_header(reply, "Content-Type", "application/json") &&
           strstr(reply->body, "\"message\":\"") != NULL;
}

static void check_row(const struct serve_bench *b, const struct row *row)
{
    auto_free char *target = fill_in(b, row->target);
    auto_free char *headers = fill_in(b, row->headers);
    auto_free char *body = row->body ? fill_in(b, row->body) : NULL;
    auto_free char *value = row->value ? fill_in(b, row->value) : NULL;
    auto_reply reply = {.status = 0};

    serve_ask(b->port, row->method, target, headers, &reply);
    if (reply.status != row->status)
        fail_msg("%s: status %u\n%s", row->label, reply.status, reply.head);
    if (row->code && !is_refusal(&reply, row->code))
        fail_msg("%s: body %s", row->label, reply.body);
    if (row->type && !is_header(&reply, "Content-Type", row->type))
        fail_msg("%s: type\n%s", row->label, reply.head);
    if (!has_body(body, &reply))
        fail_msg("%s: body %s", row->label, reply.body);
    if (row->header && !is_header(&reply, row->header, value))
        fail_msg("%s: %s\n%s", row->label, row->header, reply.head);
}

static void serve_follows_the_specification(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(*state, &rows[i]);
}

/* A HEAD has the headers a GET has. */
static void heads_are_those_of_gets(void **state)
{
    static const char *const targets[] = {PULL("manifests/1"),
                                          PULL("blobs/{layer}"),
                                          PULL("blobs/{child}"),
                                          PULL("tags/list"),
                                          "/v2/",
                                          PULL("manifests/none")};
    const struct serve_bench *b = *state;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        auto_free char *target = fill_in(b, targets[i]);
        auto_reply get = {.status = 0}, head = {.status = 0};
        auto_free char *length = NULL;

        serve_ask(b->port, "GET", target, "", &get);
        serve_ask(b->port, "HEAD", target, "", &head);
        length = serve_reply_header(&get, "Content-Length");
        assert_int_equal(get.status, head.status);
        assert_true(is_header(&head, "Content-Length", length));
    }
}

/* Following the links brings every name once, in order, however long the pages. */
static void pages_join_to_the_whole(void **state)
{
    const struct serve_bench *b = *state;
    auto_reply whole = {.status = 0};
    auto_json *all = NULL;

    serve_ask(b->port, "GET", "/v2/_catalog", "", &whole);
    all = json_loads(whole.body, 0, NULL);
    for (int page = 1; page <= 7; page++) {
        auto_free char *target = mir_format("/v2/_catalog?n=%d", page);
        auto_json *joined = json_array();

        while (target) {
            auto_reply reply = {.status = 0};
            auto_json *root = NULL;
            auto_free char *link = NULL;

            serve_ask(b->port, "GET", target, "", &reply);
            root = json_loads(reply.body, 0, NULL);
            assert_int_equal(json_array_extend(joined, json_object_get(root, "repositories")), 0);
            link = serve_reply_header(&reply, "Link");
            free(target);
            target = link ? mir_strndup(link + 1, strcspn(link + 1, ">")) : NULL;
        }
        assert_true(json_equal(joined, json_object_get(all, "repositories")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serve_follows_the_specification),
        cmocka_unit_test(heads_are_those_of_gets),
        cmocka_unit_test(pages_join_to_the_whole),
    };

    return cmocka_run_group_tests_name("serve/conformance", tests, serve_bench_set_up,
                                       serve_bench_tear_down);
}
