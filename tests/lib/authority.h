/*
 * A certificate authority for tests, in a folder of its own, and TLS settings that trust it.
 *
 * Threads: no shared state.
 */
#ifndef TESTS_LIB_AUTHORITY_H
#define TESTS_LIB_AUTHORITY_H

#include "http/http.h"
#include "lib/certs.h"

struct authority {
    char *dir;
    char *ca_file; /* DIR/ca.crt */
    struct server_identity *ca;
};

void authority_start(struct authority *authority, const char *name);
/** The same with validity and all; options->host has to be NULL. */
void authority_start_with(struct authority *authority, const struct certs_options *options);
void authority_stop(struct authority *authority);
#define auto_authority __attribute__((cleanup(authority_stop))) struct authority

/** A certificate of this authority for 127.0.0.1, good for ten days. */
struct server_identity *authority_leaf(const struct authority *authority);
/** Write a client's DIR/NAME.cert and DIR/NAME.key, signed by it. */
void authority_client(const struct authority *authority, const char *name);

/** Ends the program when the settings cannot be had. */
struct http_tls *authority_tls(const struct http_tls_options *options);
/** Settings that trust a CA file beside the system; with hints for the folder "/certs" and the
 * options of the sources. */
struct http_tls *authority_trusting(const char *ca_file);
void authority_auto_tls(struct http_tls **tls);
#define auto_tls __attribute__((cleanup(authority_auto_tls))) struct http_tls

#endif
