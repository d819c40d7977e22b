/*
 * A read-only registry over bundles: the pull side of the distribution protocol, straight from the
 * files. Nothing is unpacked; blobs are sent from where they lie.
 *
 * An image named host/repo[:tag][@digest] is served as host/repo (a ':' in the host becomes '-', as
 * --keep-host of copy has it) and as repo, behind the prefix if there is one. A name without host
 * serves as written; a bare tag, or no name at all, becomes the repository called like the file.
 * What the index of a bundle leads to is served, and nothing else.
 *
 * A tag that two images claim for one repository with different digests is served by neither: it
 * would not be what the reader asked for. Both stay there by digest, and under their full names.
 *
 * Spec: OCI distribution 1.1, "Pull", "Content discovery". Threads: a server works in its own
 * threads; reload, tick, finish and stop are called by one thread, all else by any.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "bundle/bundle.h"

struct serve_server;

/* What has to be right before it goes out. Manifests are always held against their digest. */
enum serve_verify {
    /* Every image is complete: its config and layers are there, in the size promised. A blob is
     * hashed when it is sent for the first time, and its last bytes are held back until it has
     * turned out right; from then on it is trusted until somebody writes to its file. */
    SERVE_VERIFY_INDEX,
    SERVE_VERIFY_FULL, /* and every blob was hashed before the first is sent */
    SERVE_VERIFY_NONE, /* bytes go out as they lie there; images may lack something */
};

struct serve_source {
    const char *path;
    enum bundle_form form;
};

/* All strings, and the sources, are borrowed until serve_stop(). */
struct serve_options {
    const char *listen; /* "ADDR:PORT"; port 0: the system picks one; "[::1]:PORT"; ":PORT" is every
                           IPv4 address, "[::]:PORT" every address */
    const struct serve_source *sources;
    size_t source_count;
    const char *prefix; /* in front of every repository; NULL: none */
    enum serve_verify verify;
    unsigned jobs;          /* threads that hash at the start; 0: one */
    const char *tls_cert;   /* PEM file of a certificate and its chain; NULL: plain HTTP */
    const char *tls_key;    /* PEM file; NULL: it is in the other file */
    const char *htpasswd;   /* file of users with bcrypt hashes; NULL: everybody may come in */
    const char *access_log; /* file, or "-" for standard output; NULL: a line for each request goes
                               to sink, at info */
    const struct mir_sink *sink;     /* NULL: silent */
    const struct mir_clock *clock;   /* NULL: the real one */
    const struct mir_cancel *cancel; /* ends the reading of bundles at the start; NULL: none */
};

/** Is this an address as struct serve_options wants it? For complaining before anything is opened.
 * err: MIR_E_USAGE. */
MIR_MUST_CHECK bool serve_check_listen(const char *listen, struct mir_error *err);
/** The same for a prefix. */
MIR_MUST_CHECK bool serve_check_prefix(const char *prefix, struct mir_error *err);

/**
 * Open all bundles, read their manifests, hash what verify wants, listen, and return; requests are
 * answered from then on. err: MIR_E_USAGE for an address that is none, MIR_E_IO when it cannot be
 * listened on, MIR_E_CANCELLED, whatever bundle_reader_open() says. Images that cannot be read are
 * left out, with a warning.
 */
MIR_MUST_CHECK bool serve_start(const struct serve_options *options, struct serve_server **out,
                                struct mir_error *err);

/** "127.0.0.1:5000", as a client would write it; borrowed from the server. */
const char *serve_address(const struct serve_server *server);
/** The port listened on. */
uint16_t serve_port(const struct serve_server *server);
/** How many repositories there are, counting both names of one. */
size_t serve_repo_count(struct serve_server *server);

/**
 * Open bundles and users again, and the access log. What is being sent goes on from the old files,
 * new requests get the new. On failure everything stays as it was.
 */
MIR_MUST_CHECK bool serve_reload(struct serve_server *server, struct mir_error *err);

/** To be called about once a second: ends connections that take too long over their request. */
void serve_tick(struct serve_server *server);

/** Close the port, answer what still comes on open connections with 503, and wait for what is being
 * sent, at most limit_ms. How many transfers were not done by then? Still to be followed by
 * serve_stop(). */
size_t serve_finish(struct serve_server *server, int64_t limit_ms);

/** Close the port and all connections, end the threads, free. NULL is fine. */
void serve_stop(struct serve_server *server);

#endif
