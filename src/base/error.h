/*
 * Errors: one type, a chain of context, and a way out.
 *
 * A function that can fail returns bool and fills a struct mir_error. There is no other error
 * channel. The value owns nothing, so it can be copied into a job or a report.
 *
 * Threads: plain values; safe as long as two threads do not share one.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define MIR_MUST_CHECK       __attribute__((warn_unused_result))
#define MIR_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))

/* What kind of failure; decides retry and exit status. Never compare texts. */
enum mir_code {
    MIR_OK = 0,
    MIR_E_USAGE,       /* bad command line or configuration (exit 2) */
    MIR_E_FORMAT,      /* input does not follow its format */
    MIR_E_LIMIT,       /* input is over a named limit */
    MIR_E_DIGEST,      /* content is not what its digest or size promised */
    MIR_E_NOT_FOUND,   /* the named thing is not there */
    MIR_E_AUTH,        /* the other side does not let us in (401, 403) */
    MIR_E_CONFLICT,    /* two things asked for exclude each other */
    MIR_E_UNSUPPORTED, /* known, and not done by this program */
    MIR_E_NETWORK,     /* connection, name, time-out, truncated body: may be retried */
    MIR_E_SERVER,      /* 5xx and 408: may be retried */
    MIR_E_BUSY,        /* 429: may be retried, later */
    MIR_E_TLS,         /* certificate or handshake */
    MIR_E_PROTOCOL,    /* the peer answered something the protocol does not allow */
    MIR_E_IO,          /* file system */
    MIR_E_SPACE,       /* no room on the disk */
    MIR_E_CANCELLED,   /* the user asked us to stop */
    MIR_E_PARTIAL,     /* finished, but some images are missing (exit 3) */
};

struct mir_error {
    enum mir_code code; /* what kind; decides retry and exit status */
    int sys;            /* errno, HTTP status or CURLcode behind it; 0 if none */
    char text[1024];    /* "outer: inner: cause", no newline, no full stop */
    char hint[256];     /* what the user can do next; may be empty */
};

#define MIR_ERROR_INIT                                                                             \
    {                                                                                              \
        .code = MIR_OK                                                                             \
    }

/* Each returns false, so that it can end a function. Texts too long are cut, on a character. */

/** Record a failure. An error that is already set stays: the first one wins. */
bool mir_fail(struct mir_error *err, enum mir_code code, const char *fmt, ...) MIR_PRINTF(3, 4);

/** Record a failed system call: the text gets ": " and the words for errno; ENOSPC, EDQUOT and
 * EFBIG become MIR_E_SPACE, ENOENT MIR_E_NOT_FOUND, all others MIR_E_IO. */
bool mir_fail_errno(struct mir_error *err, const char *fmt, ...) MIR_PRINTF(2, 3);

/** Put "what we were doing: " in front of an error that is set. */
bool mir_context(struct mir_error *err, const char *fmt, ...) MIR_PRINTF(2, 3);

/** Say what the user can do next, in the imperative. The first hint wins. */
bool mir_hint(struct mir_error *err, const char *fmt, ...) MIR_PRINTF(2, 3);

/** Make it a value that holds no failure again. */
void mir_error_clear(struct mir_error *err);

/** May the same request succeed if it is sent again? */
bool mir_may_retry(const struct mir_error *err);

/** The exit status of a program that ends with this error: 0, 1, 2 or 3. */
int mir_exit_status(const struct mir_error *err);

#endif
