/*
 * The listening socket, opened by us rather than by the HTTP library, so that a failure says why.
 */
#ifndef SERVE_LISTEN_PRIV_H
#define SERVE_LISTEN_PRIV_H

#include <stdint.h>

#include "base/error.h"

#define SERVE_HOST_MAX 256

struct serve_address {
    char host[SERVE_HOST_MAX]; /* without brackets; empty: every IPv4 address */
    uint16_t port;
};

/** "ADDR:PORT". err: MIR_E_USAGE. Pure. */
MIR_MUST_CHECK bool serve_address_parse(const char *text, struct serve_address *out,
                                        struct mir_error *err);

/** Take the address; nobody can connect yet, so that what takes long can be done in between. *port
 * is the one the system picked when the address says 0. The caller closes *fd. */
MIR_MUST_CHECK bool serve_listen(const struct serve_address *address, int *fd, uint16_t *port,
                                 struct mir_error *err);

/** From now on clients may connect. */
MIR_MUST_CHECK bool serve_listen_begin(int fd, struct mir_error *err);

#endif
