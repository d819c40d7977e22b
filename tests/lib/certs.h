/*
 * Certificates for tests, made on the spot: a CA, identities it signs (right, expired, not valid
 * yet, for another host), and identities that sign themselves.
 *
 * Threads: no shared state.
 */
#ifndef TESTS_LIB_CERTS_H
#define TESTS_LIB_CERTS_H

#include <stdbool.h>

#include <openssl/ssl.h>

struct server_identity;

struct certs_options {
    const char *name;      /* common name */
    const char *host;      /* "IP:127.0.0.1" or "DNS:NAME"; NULL: none, a CA */
    int days;              /* until it expires; negative: since it has */
    int wait_days;         /* until it begins to count */
    const char *client_ca; /* PEM file of the CA whose clients are let in; NULL: anybody is */
    int tls_max;           /* TLS1_2_VERSION, say: no newer one is spoken; 0: all are */
    bool sends_ca;         /* the issuer's certificate is shown, too */
};

/** issuer NULL: signs itself. Ends the program when OpenSSL fails. */
struct server_identity *certs_new(const struct certs_options *options,
                                  const struct server_identity *issuer);
void certs_free(struct server_identity *identity);
void certs_auto_free(struct server_identity **identity);
#define auto_certs __attribute__((cleanup(certs_auto_free))) struct server_identity

/** Write the certificate (and the key) as PEM. */
void certs_write_cert(const struct server_identity *identity, const char *path);
void certs_write_key(const struct server_identity *identity, const char *path);

/** For the scripted server; the caller frees. */
SSL_CTX *server_identity_context(const struct server_identity *identity);

#endif
