/*
 * A certificate authority in a folder.
 */
#include "lib/authority.h"

#include "base/mem.h"
#include "lib/scratch.h"

void authority_start_with(struct authority *a, const struct certs_options *options)
{
    a->dir = scratch_new();
    a->ca_file = mir_format("%s/ca.crt", a->dir);
    a->ca = certs_new(options, NULL);
    certs_write_cert(a->ca, a->ca_file);
}

void authority_start(struct authority *a, const char *name)
{
    authority_start_with(a, &(struct certs_options){.name = name, .days = 10});
}

void authority_stop(struct authority *a)
{
    certs_free(a->ca);
    free(a->ca_file);
    scratch_remove(a->dir);
}

struct server_identity *authority_leaf(const struct authority *a)
{
    return certs_new(&(struct certs_options){.name = "leaf", .host = "IP:127.0.0.1", .days = 10},
                     a->ca);
}

void authority_client(const struct authority *a, const char *name)
{
    auto_certs *client =
        certs_new(&(struct certs_options){.name = name, .host = "DNS:client", .days = 10}, a->ca);
    auto_free char *cert = mir_format("%s/%s.cert", a->dir, name);
    auto_free char *key = mir_format("%s/%s.key", a->dir, name);

    certs_write_cert(client, cert);
    certs_write_key(client, key);
}

struct http_tls *authority_tls(const struct http_tls_options *options)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct http_tls *tls = NULL;

    if (!http_tls_new(options, &tls, &err))
        scratch_die("%s", err.text);
    return tls;
}

struct http_tls *authority_trusting(const char *ca_file)
{
    return authority_tls(&(struct http_tls_options){.verify = true,
                                                    .ca_files = &ca_file,
                                                    .ca_count = 1,
                                                    .folder = "/certs",
                                                    .options = "src-"});
}

void authority_auto_tls(struct http_tls **tls)
{
    http_tls_free(*tls);
}
