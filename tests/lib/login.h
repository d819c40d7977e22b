/*
 * A registry that wants tokens, as rows of the scripted server, and the one thing that is asked of
 * it: the manifest "v1".
 */
#ifndef TESTS_LIB_LOGIN_H
#define TESTS_LIB_LOGIN_H

#include "base/mem.h"
#include "lib/must.h"
#include "lib/reg_bench.h"
#include "lib/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANIFEST     "{\"schemaVersion\":2}"
#define BEARER                                                                                     \
    "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"reg\","                      \
    "scope=\"repository:team/app:pull\"\r\n"
#define PULL_TOKEN "/token?service=reg&scope=repository:team/app:pull"

/* Reply rows: a token service that gives TOKEN, what it is good for, and the refusal of all else.
 */
#define GIVES(token) .status = 200, .body = "{\"token\":\"" token "\",\"expires_in\":300}"
#define LET_IN(token)                                                                              \
    {                                                                                              \
        .path = "/v2/*", .needs = "Bearer " token, .status = 200, .body = MANIFEST                 \
    }
#define REFUSE_OTHERS                                                                              \
    {                                                                                              \
        .path = "/v2/*", .status = 401, .headers = BEARER                                          \
    }
#define TOKEN_SERVER {.path = PULL_TOKEN, GIVES("tok-pull")}, LET_IN("tok-pull"), REFUSE_OTHERS

static inline bool get_manifest(struct reg_bench *b)
{
    struct reg_manifest manifest = {.bytes = NULL};
    bool ok;

    mir_error_clear(&b->err);
    ok = reg_manifest_get(b->session, &b->repo, "v1", &manifest, &b->err);
    reg_manifest_release(&manifest);
    return ok;
}
#define must_get(bench) must(get_manifest(bench), &(bench)->err)

/** An auth file with one entry, whose value is the JSON text given. */
static inline void write_auth_file(const char *file, const char *key, const char *value)
{
    auto_free char *text = mir_format("{\"auths\":{\"%s\":%s}}", key, value);

    scratch_write(file, mir_span_of(text));
}

#endif
