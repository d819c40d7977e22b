/*
 * A read-only registry over bundles: the pull side of the distribution protocol, straight from the
 * files. Nothing is unpacked; blobs are sent from where they lie.
 *
 * An image named host/repo[:tag][@digest] is served as host/repo (a ':' in the host becomes '-', as
 * --keep-host of copy has it) and as repo. A name without host serves as written; a bare tag, or no
 * name at all, becomes the repository called like the file. What the index of a bundle leads to is
 * served, and nothing else.
 *
 * A tag that two images claim for one repository with different digests is served by neither: it
 * would not be what the reader asked for. Both stay there by digest, and under their full names.
 *
 * Spec: OCI distribution 1.1, "Pull", "Content discovery". Threads: a server works in its own
 * threads; its functions may be called from any.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"

struct bundle_reader;
struct serve_server;

struct serve_options {
    const char *listen; /* "ADDR:PORT"; port 0: the system picks one; "[::1]:PORT"; ":PORT" is every
                           IPv4 address, "[::]:PORT" every address */
    struct bundle_reader *const *readers; /* borrowed until serve_stop() */
    size_t reader_count;
    const struct mir_sink *sink;     /* one line for each request, at info; NULL: silent */
    const struct mir_cancel *cancel; /* ends the reading of manifests at the start; NULL: none */
};

/** Is this an address as struct serve_options wants it? For complaining before anything is opened.
 * err: MIR_E_USAGE. */
MIR_MUST_CHECK bool serve_check_listen(const char *listen, struct mir_error *err);

/**
 * Read the manifests of all bundles, listen, and return; requests are answered from then on.
 * err: MIR_E_USAGE for an address that is none, MIR_E_IO when it cannot be listened on,
 * MIR_E_CANCELLED. Images that cannot be read are left out, with a warning.
 */
MIR_MUST_CHECK bool serve_start(const struct serve_options *options, struct serve_server **out,
                                struct mir_error *err);

/** "127.0.0.1:5000", as a client would write it; borrowed from the server. */
const char *serve_address(const struct serve_server *server);
/** The port listened on. */
uint16_t serve_port(const struct serve_server *server);
/** How many repositories there are, counting both names of one. */
size_t serve_repo_count(const struct serve_server *server);

/** Close the port and all connections, end the threads, free. NULL is fine. */
void serve_stop(struct serve_server *server);

#endif
