/*
 * Digests, read and made. Everything that names content goes through here, so a struct img_digest
 * always holds a well-formed digest of an algorithm we can compute (or the empty text).
 */
#include "image/digest.h"

#include <assert.h>

#include "image/text_priv.h"

struct algo {
    const char *name;
    enum mir_hash_algo algo;
    size_t hex_len;
};

static const struct algo algos[] = {
    {"sha256", MIR_HASH_SHA256, 64},
    {"sha512", MIR_HASH_SHA512, 128},
};
#define ALGO_COUNT (sizeof(algos) / sizeof(algos[0]))

static const struct algo *algo_find(struct mir_span name)
{
    for (size_t i = 0; i < ALGO_COUNT; i++) {
        if (mir_span_is(name, algos[i].name))
            return &algos[i];
    }
    return NULL;
}

static const struct algo *algo_of(const struct img_digest *digest)
{
    struct mir_span text = mir_span_of(digest->text);
    const struct algo *algo;
    size_t colon = 0;

    (void)mir_span_find(text, ':', &colon);
    algo = algo_find(mir_span_first(text, colon));
    assert(algo);
    return algo;
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Grammar of the specification: lower-case letters and digits, joined by one of "+._-". */
static bool is_algo_name(struct mir_span name)
{
    bool joined = true; /* a letter or digit has to follow */

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool joins = c == '+' || c == '.' || c == '_' || c == '-';

        if (!is_lower_alnum(c) && (!joins || joined))
            return false;
        joined = joins;
    }
    return !joined;
}

static bool is_hex(struct mir_span hex)
{
    for (size_t i = 0; i < hex.len; i++) {
        char c = hex.ptr[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

bool img_digest_parse(struct mir_span text, struct img_digest *out, struct mir_error *err)
{
    const struct algo *algo;
    struct mir_span name, hex;
    size_t colon;

    if (!mir_span_find(text, ':', &colon))
        return mir_fail(err, MIR_E_FORMAT, "'%s' is not a digest: no ':'", img_show(text).text);
    name = mir_span_first(text, colon);
    hex = mir_span_from(text, colon + 1);
    algo = algo_find(name);
    if (!algo && is_algo_name(name))
        return mir_fail(err, MIR_E_UNSUPPORTED, "digest algorithm '%s' is not supported",
                        img_show(name).text);
    if (!algo)
        return mir_fail(err, MIR_E_FORMAT, "'%s' is not a digest: no algorithm",
                        img_show(text).text);
    if (hex.len != algo->hex_len)
        return mir_fail(err, MIR_E_FORMAT, "'%s' is not a digest: %zu characters, not %zu, of hex",
                        img_show(text).text, hex.len, algo->hex_len);
    if (!is_hex(hex))
        return mir_fail(err, MIR_E_FORMAT, "'%s' is not a digest: not lower-case hex",
                        img_show(text).text);
    *out = (struct img_digest){.text = ""};
    memcpy(out->text, text.ptr, text.len);
    return true;
}

bool img_digest_equal(const struct img_digest *a, const struct img_digest *b)
{
    return strcmp(a->text, b->text) == 0;
}

enum mir_hash_algo img_digest_algo(const struct img_digest *digest)
{
    return algo_of(digest)->algo;
}

const char *img_digest_algo_name(const struct img_digest *digest)
{
    return algo_of(digest)->name;
}

const char *img_digest_hex(const struct img_digest *digest)
{
    return digest->text + strlen(algo_of(digest)->name) + 1;
}

static void digest_join(enum mir_hash_algo algo, const char hex[MIR_HASH_HEX_MAX],
                        struct img_digest *out)
{
    for (size_t i = 0; i < ALGO_COUNT; i++) {
        if (algos[i].algo == algo)
            (void)snprintf(out->text, sizeof(out->text), "%s:%s", algos[i].name, hex);
    }
}

void img_digest_of(enum mir_hash_algo algo, struct mir_span bytes, struct img_digest *out)
{
    char hex[MIR_HASH_HEX_MAX];

    mir_hash_bytes(algo, bytes, hex);
    digest_join(algo, hex, out);
}

void img_digest_from_hash(enum mir_hash_algo algo, struct mir_hash *hash, struct img_digest *out)
{
    char hex[MIR_HASH_HEX_MAX];

    mir_hash_final(hash, hex);
    digest_join(algo, hex, out);
}

bool img_digest_check(const struct img_digest *expected, const struct img_digest *got,
                      struct mir_error *err)
{
    if (img_digest_equal(expected, got))
        return true;
    return mir_fail(err, MIR_E_DIGEST, "digest mismatch: expected %s, got %s", expected->text,
                    got->text);
}
