/*
 * One HTTP request, done thoroughly: TLS, proxies, redirects, retries, continuing a broken body.
 * The only place of the program that knows libcurl; what the answer means is for the caller.
 *
 * A http_client holds what all threads of one side share: options and the count of requests. A
 * http_conn is one thread's door: curl handles whose connections and TLS sessions stay alive from
 * request to request, whatever the host.
 *
 * HTTP/1.1 only, because many small bodies over several connections are what registries serve
 * best; one setting in handle.c decides. Proxies come from the environment as Go reads it, and
 * ALL_PROXY as curl does: see proxy.c. Hosts on loopback are never reached through a proxy.
 *
 * Secrets: URLs reach errors and logs only through http_url_redact(); header values never do. An
 * answer that has what we log in with in its Location or its challenge is refused.
 *
 * Threads: clients and TLS settings are shared and read-only; a connection belongs to one thread.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "base/span.h"
#include "base/watch.h"

#define HTTP_HEADER_BYTES_MAX   (128u << 10) /* all header lines of one answer, 1xx included */
#define HTTP_REDIRECTS_MAX      8
#define HTTP_ERROR_BODY_MAX     (16u << 10) /* what is kept of the body of a refusal */
#define HTTP_RETRY_AFTER_MAX_MS (120 * 1000)

/** Once, in main, before threads. SIGPIPE is ignored from here on: a peer that hangs up is an error
 * code, not the end of the program. */
MIR_MUST_CHECK bool http_global_init(struct mir_error *err);
void http_global_cleanup(void);

/* ---- URLs --------------------------------------------------------------------------------- */

/** The URL as it may be shown: user info and the values of query parameters are replaced, except
 * those that name what is asked for (digest, mount, from, scope, service). Works on anything; long
 * ones are cut. The caller frees. */
char *http_url_redact(const char *url);

/** A reference (Location) seen from a base URL, as an absolute http or https URL without fragment.
 * Refuses other schemes, user info and control bytes. The caller frees *out. err: MIR_E_PROTOCOL,
 * with the redacted texts. */
MIR_MUST_CHECK bool http_url_resolve(const char *base, const char *reference, char **out,
                                     struct mir_error *err);

/** Same scheme, host and port? False for what is no URL. */
bool http_url_same_origin(const char *a, const char *b);
bool http_url_is_https(const char *url);

/** "host" or "host:port" of a URL, the port left out when it is the scheme's own; NULL for what is
 * no http(s) URL. The caller frees. */
char *http_url_host(const char *url);

/** Append text, percent-encoded for a query value. */
void http_url_escape(struct mir_buf *out, struct mir_span text);

/** localhost, *.localhost, 127.0.0.0/8, ::1, with or without port. */
bool http_host_is_loopback(struct mir_span host);

/* ---- TLS settings ------------------------------------------------------------------------- */

struct http_tls_options {
    bool verify;
    const char *const *ca_files; /* PEM files, trusted beside the system's; ca_count of them */
    size_t ca_count;
    const char *cert_file; /* client certificate and key, PEM; both or none */
    const char *key_file;
    /* For hints, copied: the folder where certificates for this host belong (NULL: no hints), and
     * what the options of its side begin with, "src-" say (NULL: not known). */
    const char *folder;
    const char *options;
};

struct http_tls;

/** Reads the files now, so that an unreadable one is named at once. The system's trust is its
 * bundle and its directory, as libcurl was built; SSL_CERT_FILE takes the place of the one,
 * SSL_CERT_DIR (folders with ':' between, every file in them counts) that of the other, as Go has
 * it. */
MIR_MUST_CHECK bool http_tls_new(const struct http_tls_options *options, struct http_tls **out,
                                 struct mir_error *err);
void http_tls_free(struct http_tls *tls);

/* ---- client and connection ---------------------------------------------------------------- */

/* Strings are copied. 0 and NULL mean the default. */
struct http_options {
    const char *user_agent;
    unsigned retry_times;            /* further tries after the first; 0: none */
    int64_t connect_timeout_ms;      /* 30 s */
    int64_t stall_timeout_ms;        /* no byte either way for so long, or next to none: 60 s */
    uint64_t limit_rate;             /* bytes of bodies a second, over all connections; 0: any */
    const struct mir_clock *clock;   /* the real one */
    const struct mir_cancel *cancel; /* none */
    const struct mir_sink *sink;     /* silent */
};

struct http_client;
struct http_conn;

struct http_client *http_client_new(const struct http_options *options);
void http_client_free(struct http_client *client);
/** Requests sent so far: redirects and retries count, connections that never came up do not. */
uint64_t http_client_requests(const struct http_client *client);

/** The client outlives its connections. */
struct http_conn *http_conn_new(struct http_client *client);
void http_conn_free(struct http_conn *conn);

/** From now on, until another is set; NULL: none. watch is copied, what it points to borrowed. */
void http_conn_watch(struct http_conn *conn, const struct mir_watch *watch);

/* ---- request and response ----------------------------------------------------------------- */

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
};
/** "GET", ...; static storage. */
const char *http_method_name(enum http_method method);

struct http_header {
    const char *name;
    const char *value;
};

/* Where a body comes from. Writes exactly len bytes to data; may be asked for an earlier offset
 * again when a request is repeated. */
struct http_source {
    bool (*read)(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err);
    void *ctx;
};

/* Where the body of a 200 or 206 goes: in order, each byte once. False ends the request. */
struct http_sink {
    bool (*write)(void *ctx, struct mir_span bytes, struct mir_error *err);
    void *ctx;
};

/* Everything is borrowed during the call. */
struct http_request {
    enum http_method method;
    const char *url;
    const char *authorization; /* the header's value, or NULL; goes to the URL's origin only */
    const struct http_header *headers;
    size_t header_count;
    const struct http_source *source; /* NULL: no body */
    uint64_t source_len;              /* sent as Content-Length */
    const struct http_tls *tls;       /* for the URL's origin; NULL: verify, system trust */
    const struct http_tls *away_tls;  /* for other hosts a redirect leads to; NULL: the same */
    const struct http_sink *sink;     /* NULL: the body goes to the response */
    uint64_t offset;                  /* the sink wants the body from here on */
    bool has_size;
    uint64_t size;   /* of the whole body, from byte 0; a longer one is cut off at once */
    size_t body_max; /* without a sink: a longer body is MIR_E_LIMIT; 0: HTTP_ERROR_BODY_MAX */
    bool once;       /* neither retry nor repeat: the caller does */
    bool home_only;  /* the body is a secret: a redirect to another origin is refused */
};

struct http_response {
    int status;
    char *url;              /* the last one asked, after redirects */
    char *via;              /* the proxy that may have answered instead of it; NULL: none could */
    struct mir_buf headers; /* read with http_response_header() */
    struct mir_buf body;    /* without sink; of a refusal the first HTTP_ERROR_BODY_MAX bytes */
    uint64_t reached;       /* where the sink stands: offset of the next byte */
    bool whole;             /* a range was answered wrongly: no more are asked for */
};
void http_response_release(struct http_response *response);
#define auto_response __attribute__((cleanup(http_response_release))) struct http_response
#define HTTP_RESPONSE_INIT                                                                         \
    {                                                                                              \
        .status = 0                                                                                \
    }

/** The value of the n-th header of that name (any case), or NULL; borrowed. */
const char *http_response_header_at(const struct http_response *response, const char *name,
                                    size_t n);
const char *http_response_header(const struct http_response *response, const char *name);
/** When it was sent, by the server's own clock: seconds since 1970. False: it does not say. */
bool http_response_date(const struct http_response *response, int64_t *seconds);

/**
 * Send a request and take the answer.
 *
 * True means there is an answer, of any status: 4xx is the caller's to judge, so are 5xx and 429
 * once the retries are used up. False means there is none, and err says why.
 *
 * Retried, with exponential backoff and jitter or as Retry-After says, unless request->once:
 * connections that fail or break, truncated bodies, 408, 429, 5xx. A body for a sink goes on with
 * Range from the byte reached; where the server ignores Range what the sink has is skipped; one
 * that answers another range than asked for, or none it has (416), is asked for the whole body
 * instead, once. A try that brought a good piece of the body further is not counted.
 *
 * Redirects: GET and HEAD follow 301, 302, 303, 307, 308; the others 307 and 308. At most
 * HTTP_REDIRECTS_MAX, http and https only, never from https to http. Authorization and client
 * certificate go to the origin of request->url and nowhere else, also not back home after a
 * detour. A repeated request starts at request->url again, so expired signed URLs are renewed;
 * where another host that a redirect led to answers 400, 401, 403 or 410, a new one is asked for at
 * once, one for each position of the body.
 *
 * response  HTTP_RESPONSE_INIT or released; the caller releases it in any case.
 * err       MIR_E_NETWORK, MIR_E_TLS, MIR_E_PROTOCOL, MIR_E_LIMIT (headers or body too long),
 *           MIR_E_DIGEST (size differs from request->size), MIR_E_CANCELLED, or what sink or source
 *           failed with. The text begins with method and URL.
 */
MIR_MUST_CHECK bool http_send(struct http_conn *conn, const struct http_request *request,
                              struct http_response *response, struct mir_error *err);

/* In err->sys of an MIR_E_TLS: what answers speaks no TLS at all. */
#define HTTP_SYS_NO_TLS (-1)

/** Would http_send() try again after this status? */
bool http_status_may_pass(int status);

/** "404 Not Found"; the caller frees. */
char *http_status_text(int status);

/* Counts the tries of a loop around requests that are sent once. Start with zeros. */
struct http_backoff {
    unsigned tries;
};

/**
 * Wait before the next try: what the response's Retry-After says (capped), else exponentially with
 * jitter. False when no tries are left or the user has cancelled; then *err, which holds the
 * failure so far, becomes MIR_E_CANCELLED.
 *
 * response  the refusal, or NULL.
 */
bool http_backoff_wait(struct http_conn *conn, struct http_backoff *backoff,
                       const struct http_response *response, struct mir_error *err);

/**
 * Does the other side of this https URL speak TLS? Connects and shakes hands, sends no request.
 * True: *speaks is the answer (false: connected, and what came back is no TLS, or the handshake was
 * dropped twice). False: could not connect, certificate refused, cancelled.
 */
MIR_MUST_CHECK bool http_probe_tls(struct http_conn *conn, const char *url,
                                   const struct http_tls *tls, bool *speaks, struct mir_error *err);

/* ---- from one server to another ----------------------------------------------------------- */

struct http_relay {
    const struct http_request *get; /* with has_size; its sink is not used */
    const struct http_request *put; /* its source is not used; source_len == get->size, not 0 */
    struct http_conn *get_conn;     /* counts the GET's requests; settings of its client */
    void (*seen)(void *ctx, struct mir_span bytes);     /* each byte, once, in order */
    bool (*verified)(void *ctx, struct mir_error *err); /* after the last byte */
    void (*restart)(void *ctx); /* the PUT was sent elsewhere: byte 0 comes next, again */
    /* The source refuses to go on in the middle of the body: true once *again may be sent with
     * another authorization; it lives on until the next call. NULL: never. */
    bool (*renew)(void *ctx, const struct http_response *refusal, struct http_request *again);
    void *ctx;
};

/**
 * GET a body and PUT it elsewhere at the same time, through a bounded ring in this thread. The
 * last byte is held back until verified() has said yes, so the far side never completes a wrong
 * body. A GET that breaks goes on with Range within the call, a PUT that is redirected begins again
 * there; a PUT that fails ends it: the caller starts over.
 *
 * True: there is an answer. put->status other than 0: how the PUT ended; if that was a refusal, the
 * GET may have been given up. Else get->status is what the source refused with, and the PUT was
 * not finished.
 * False: err, from either side. A 2xx for an incomplete PUT is MIR_E_PROTOCOL.
 */
MIR_MUST_CHECK bool http_relay_run(struct http_conn *conn, const struct http_relay *relay,
                                   struct http_response *get, struct http_response *put,
                                   struct mir_error *err);

#endif
