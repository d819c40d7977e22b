/*
 * Certificates for tests. Whatever OpenSSL refuses here is a fault of the test and ends it.
 */
#include "lib/certs.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "lib/scratch.h"

#define DAY (24 * 60 * 60)

struct server_identity {
    EVP_PKEY *key;
    X509 *cert;
    X509 *shown_ca; /* sent with it; NULL: not */
    char *client_ca;
    int tls_max;
};

static void must(bool ok, const char *what)
{
    if (!ok)
        scratch_die("certificates for the test: %s: %s", what,
                    ERR_error_string(ERR_peek_last_error(), NULL));
}

static void add_extension(X509 *cert, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, kind, value);
    must(extension != NULL, value);
    must(X509_add_ext(cert, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static void set_times(X509 *cert, const struct certs_options *options)
{
    long end = (long)options->days * DAY;
    long start = end < 0 ? end - 30L * DAY : -DAY;

    if (options->wait_days > 0)
        start = (long)options->wait_days * DAY;

    must(X509_gmtime_adj(X509_getm_notBefore(cert), start) != NULL, "notBefore");
    must(X509_gmtime_adj(X509_getm_notAfter(cert), end) != NULL, "notAfter");
}

static void set_serial(X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    BIGNUM *number;

    /* Any number will do as long as two certificates of one CA differ: from the key. */
    must(X509_pubkey_digest(cert, EVP_sha256(), digest, &len) == 1, "serial");
    digest[0] &= 0x7f;
    number = BN_bin2bn(digest, 16, NULL);
    must(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)), "serial");
    BN_free(number);
}

struct server_identity *certs_new(const struct certs_options *options,
                                  const struct server_identity *issuer)
{
    struct server_identity *identity = mir_alloc(sizeof(*identity));
    X509 *cert = X509_new();
    X509 *signer = issuer ? issuer->cert : cert;

    identity->key = EVP_EC_gen("P-256");
    must(identity->key != NULL && cert != NULL, "key");
    identity->cert = cert;
    identity->client_ca = mir_strdup(options->client_ca);
    identity->tls_max = options->tls_max;
    if (issuer && options->sends_ca && X509_up_ref(issuer->cert) == 1)
        identity->shown_ca = issuer->cert;
    must(X509_set_version(cert, 2) == 1, "version");
    must(X509_set_pubkey(cert, identity->key) == 1, "public key");
    set_serial(cert);
    set_times(cert, options);
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                    (const unsigned char *)options->name, -1, -1, 0) == 1,
         "name");
    must(X509_set_issuer_name(cert, X509_get_subject_name(signer)) == 1, "issuer");
    add_extension(cert, signer, NID_subject_key_identifier, "hash");
    if (options->host)
        add_extension(cert, signer, NID_subject_alt_name, options->host);
    else
        add_extension(cert, signer, NID_basic_constraints, "critical,CA:TRUE");
    must(X509_sign(cert, issuer ? issuer->key : identity->key, EVP_sha256()) > 0, "signature");
    return identity;
}

void certs_free(struct server_identity *identity)
{
    if (!identity)
        return;
    EVP_PKEY_free(identity->key);
    X509_free(identity->cert);
    X509_free(identity->shown_ca);
    free(identity->client_ca);
    free(identity);
}

void certs_auto_free(struct server_identity **identity)
{
    certs_free(*identity);
}

void certs_write_cert(const struct server_identity *identity, const char *path)
{
    FILE *file = fopen(path, "w");

    must(file && PEM_write_X509(file, identity->cert) == 1 && fclose(file) == 0, path);
}

void certs_write_key(const struct server_identity *identity, const char *path)
{
    FILE *file = fopen(path, "w");

    must(file && PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL) == 1 &&
             fclose(file) == 0,
         path);
}

SSL_CTX *server_identity_context(const struct server_identity *identity)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    must(ctx != NULL, "context");
    must(SSL_CTX_use_certificate(ctx, identity->cert) == 1, "certificate");
    must(SSL_CTX_use_PrivateKey(ctx, identity->key) == 1, "key");
    if (identity->shown_ca)
        must(SSL_CTX_add1_chain_cert(ctx, identity->shown_ca) == 1, "chain");
    if (identity->tls_max != 0) {
        must(SSL_CTX_set_max_proto_version(ctx, identity->tls_max) == 1, "version");
        /* What is old is not allowed at OpenSSL's usual level. */
        SSL_CTX_set_security_level(ctx, 0);
    }
    if (identity->client_ca) {
        must(SSL_CTX_load_verify_locations(ctx, identity->client_ca, NULL) == 1, "client CA");
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}
