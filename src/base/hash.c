/*
 * Streaming SHA-2 on OpenSSL's EVP interface, which uses the processor's SHA instructions.
 */
#include "base/hash.h"

#include <assert.h>
#include <openssl/evp.h>

#include "base/mem.h"

struct mir_hash {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
};

/* OpenSSL fails here only for want of memory or of its default provider. */
static void must(int ok)
{
    if (ok != 1) {
        (void)fputs("mirror: OpenSSL has no working SHA-2\n", stderr);
        abort();
    }
}

struct mir_hash *mir_hash_new(enum mir_hash_algo algo)
{
    struct mir_hash *hash = mir_alloc(sizeof(*hash));

    hash->md = algo == MIR_HASH_SHA512 ? EVP_sha512() : EVP_sha256();
    hash->ctx = EVP_MD_CTX_new();
    must(hash->ctx != NULL);
    must(EVP_DigestInit_ex(hash->ctx, hash->md, NULL));
    return hash;
}

void mir_hash_free(struct mir_hash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->ctx);
    free(hash);
}

void mir_auto_hash_free(struct mir_hash **hash)
{
    mir_hash_free(*hash);
}

void mir_hash_update(struct mir_hash *hash, struct mir_span bytes)
{
    if (bytes.len > 0)
        must(EVP_DigestUpdate(hash->ctx, bytes.ptr, bytes.len));
}

void mir_hash_reset(struct mir_hash *hash)
{
    must(EVP_DigestInit_ex(hash->ctx, hash->md, NULL));
}

void mir_hash_final(struct mir_hash *hash, char hex[MIR_HASH_HEX_MAX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    must(EVP_DigestFinal_ex(hash->ctx, raw, &len));
    assert(len * 2 < MIR_HASH_HEX_MAX);
    for (unsigned i = 0; i < len; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[2 * len] = '\0';
}

void mir_hash_bytes(enum mir_hash_algo algo, struct mir_span bytes, char hex[MIR_HASH_HEX_MAX])
{
    auto_hash *hash = mir_hash_new(algo);

    mir_hash_update(hash, bytes);
    mir_hash_final(hash, hex);
}
