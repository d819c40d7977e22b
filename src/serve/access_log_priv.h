/*
 * The access log: a line for each request, as web servers write it ("combined"), with the time it
 * took in milliseconds and, like Apache's %X, "X" for one that was broken off and "+" for others.
 *
 *   192.0.2.7 - pilot [22/Nov/2026:19:20:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "-" "podman/4.3" 3 +
 *
 * Threads: lines may be written from any thread; each goes out in one piece.
 */
#ifndef SERVE_ACCESS_LOG_PRIV_H
#define SERVE_ACCESS_LOG_PRIV_H

#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"

#define SERVE_LOG_LINE_MAX 4096 /* bytes */

struct serve_log_entry {
    const char *client; /* address */
    const char *user;   /* who logged in; NULL: nobody */
    time_t when;
    const char *method, *target, *version;
    unsigned status;
    uint64_t bytes;    /* of the body that was promised; 0 of a HEAD */
    const char *agent; /* NULL: it did not say */
    int64_t took_ms;
    bool is_broken_off;
};

/**
 * A target as it may be logged: without the authority that clients write to proxies, and with "..."
 * for the value of every query parameter that is not one of the protocol's, since who knows what
 * stands there. The caller frees.
 */
char *serve_log_target(const char *target);

/** One line with its newline. What clients said is escaped: '"', '\' and whatever is no printable
 * ASCII become \xHH. Too long a line loses the end of the target and of the agent, not its form. */
void serve_log_format(const struct serve_log_entry *entry, struct mir_buf *out);

struct serve_access_log;

/** path is appended to; "-" is standard output. */
MIR_MUST_CHECK bool serve_access_log_open(const char *path, struct serve_access_log **out,
                                          struct mir_error *err);
/** Open the file of that name again, so that the old one can be moved away. On failure the old one
 * stays in use. */
MIR_MUST_CHECK bool serve_access_log_reopen(struct serve_access_log *log, struct mir_error *err);
/** A full disk does not keep anybody from pulling: what cannot be written is lost. */
void serve_access_log_write(struct serve_access_log *log, const struct serve_log_entry *entry);
/** NULL is fine. */
void serve_access_log_close(struct serve_access_log *log);

#endif
