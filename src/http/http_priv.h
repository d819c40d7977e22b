/*
 * What the files of src/http share: the objects behind the handles, and one try of a request.
 */
#ifndef HTTP_HTTP_PRIV_H
#define HTTP_HTTP_PRIV_H

#include "http/http.h"

#include <curl/curl.h>

#include "base/mem.h"

#define HTTP_BUFFER_BYTES   (128u << 10) /* what curl sends, or relays, at once of a body */
#define HTTP_INTAKE_BYTES   (512u << 10) /* what it receives at once of a large one */
#define HTTP_SMALL_BYTES    (16u << 10)  /* where there is no such body */
#define HTTP_POLL_MS        200          /* the longest time a cancel goes unseen */
#define HTTP_BLINK_MS       400          /* what is more between two looks was spent elsewhere */
#define HTTP_CONNECT_MS     (30 * 1000)
#define HTTP_STALL_MS       (60 * 1000)
#define HTTP_PROGRESS_BYTES (1u << 20) /* a try that brought this much was no failed one */
#define HTTP_ANSWER_FACTOR  5 /* after a whole upload: servers move the blob before they answer */

struct http_client {
    char *user_agent;
    struct http_proxies *proxies;
    unsigned retry_times;
    int64_t connect_timeout_ms;
    int64_t stall_timeout_ms;
    uint64_t floor_rate; /* bytes a second; a try that is slower ends */
    const struct mir_clock *clock;
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
    struct http_rate *rate; /* NULL: no limit */
    _Atomic uint64_t requests;
};

struct http_conn {
    struct http_client *client;
    CURLM *multi;
    CURL *easy;
    CURL *second; /* the relay's GET; NULL until there is one */
    struct mir_watch watch;
    unsigned alerts_sought; /* http_peer_alert() costs time */
};

struct http_tls {
    bool verify;
    char *ca_file; /* SSL_CERT_FILE, or the system's bundle; NULL: none */
    char *ca_path; /* the system's directory, where it counts; NULL: it does not */
    char *ca_blob; /* all that is trusted beside ca_path, in one; NULL: ca_file is enough */
    size_t ca_blob_len;
    char *cert_file;
    char *key_file;
    char *note;   /* what was wrong with the environment's wishes, " (...)"; NULL: nothing */
    char *folder; /* as http_tls_options has them */
    char *options;
};

/* ---- URLs (url.c) -------------------------------------------------------------------------- */

void http_curlu_free(CURLU **url);
#define auto_url __attribute__((cleanup(http_curlu_free))) CURLU
void http_curl_text_free(char **text);
#define auto_text __attribute__((cleanup(http_curl_text_free))) char

struct http_origin {
    bool https;
    char *host; /* IPv6 in brackets */
    char *port;
};
/** False for what is no http(s) URL. */
bool http_origin_of(const char *url, struct http_origin *out);
void http_origin_release(struct http_origin *origin);
#define auto_origin __attribute__((cleanup(http_origin_release))) struct http_origin

/* ---- proxies (proxy.c) --------------------------------------------------------------------- */

struct http_proxy {
    char *url;            /* for libcurl; may hold a password */
    char *shown;          /* "http://HOST:PORT" */
    const char *variable; /* of the environment; NULL: there is none */
    bool is_bad;          /* what the variable holds is no URL of a proxy */
    bool answers;         /* speaks HTTP itself, so an answer to plain HTTP may be its own */
};

struct http_proxies;

/** From the environment, as it is now. */
struct http_proxies *http_proxies_new(void);
void http_proxies_free(struct http_proxies *proxies);
/** The proxy for a URL; NULL: none. Borrowed. */
const struct http_proxy *http_proxy_for(const struct http_proxies *proxies, const char *url);

/* ---- the other end's certificates (peer.c) ------------------------------------------------- */

#define HTTP_PEER_CERTS_MAX 8

/* What strangers say of themselves: bounded, no control bytes; NULL: not said. */
struct http_certificate {
    char *subject;
    char *issuer;
    char *names;  /* the hosts it is for, with commas */
    int64_t from; /* seconds of UTC; 0: not understood */
    int64_t until;
};

struct http_peer {
    size_t count;
    struct http_certificate certs[HTTP_PEER_CERTS_MAX]; /* its own first, then up the chain */
};
/** Shake hands with a server once more, whoever it is. False: nothing was seen. */
bool http_peer_look(struct http_client *client, const char *url, const struct http_proxy *proxy,
                    struct http_peer *out);
void http_peer_release(struct http_peer *peer);
struct http_try;
/** The same with our certificate, if we have one: does the server then say what is wrong with it?
 * In libcurl's words. */
bool http_peer_alert(const struct http_try *t, char text[CURL_ERROR_SIZE]);

/* Where a request has got to through redirects. */
struct http_trail {
    char *url;
    bool left_home; /* it has been at another origin than the first */
    unsigned hops;
};
void http_trail_release(struct http_trail *trail);
#define auto_trail __attribute__((cleanup(http_trail_release))) struct http_trail

/* Lets the relay pause a direction. Each says how many bytes may pass now; 0 pauses. */
struct http_gate {
    size_t (*room)(void *ctx);  /* for received bytes; NULL: always */
    size_t (*ready)(void *ctx); /* to send */
    void *ctx;
};

/* What has moved in the window that the floor is measured in. Starts as zeros. */
struct http_floor {
    bool is_open;
    bool sending;   /* the request's body was on its way */
    uint64_t bytes; /* had moved when it opened */
    int64_t watched_ms;
    int64_t looked_ms; /* the last time anybody looked */
};

enum http_body_mode {
    HTTP_BODY_PENDING, /* the header is not complete */
    HTTP_BODY_SINK,
    HTTP_BODY_KEEP,   /* into response->body; too much is an error */
    HTTP_BODY_REFUSAL /* keep the beginning of the text, drop the rest */
};

/* One request on the wire, without redirects and retries. */
struct http_try {
    struct http_conn *conn; /* whose watch hears of it */
    struct http_client *client;
    const struct http_request *request;
    struct http_response *response;
    const struct http_gate *gate; /* NULL: never paused */
    CURL *easy;
    const struct http_tls *tls;     /* NULL: the system's trust */
    bool shows_client;              /* its client certificate, if there is one, is shown */
    const struct http_proxy *proxy; /* NULL: none */
    struct curl_slist *lines;
    bool ranged; /* asked for a range */
    bool head_done;
    enum http_body_mode mode;
    uint64_t skip; /* bytes of this answer the sink has already */
    uint64_t body_bytes;
    uint64_t sent;
    size_t header_bytes;
    bool has_length; /* the end of the body is marked: Content-Length or chunked */
    bool cut;        /* ended by us with all we need */
    bool fatal;      /* err comes from sink, source or a lie: no use in trying again */
    bool recv_paused;
    bool send_paused;
    uint64_t seen_bytes; /* for the stall watch */
    int64_t seen_ms;
    struct http_floor floor;
    struct mir_error err;
    char curl_text[CURL_ERROR_SIZE];
};

/* handle.c: the settings every handle has, whatever it is used for; nonzero: libcurl refused one */
unsigned http_handle_set(CURL *easy, const struct http_client *client, const char *url,
                         const struct http_tls *tls, bool shows_client,
                         const struct http_proxy *proxy);

/* try.c */
bool http_try_begin(struct http_try *t, struct http_conn *conn, CURL *easy,
                    const struct http_request *request, const struct http_trail *trail,
                    struct http_response *response, struct mir_error *err);
/** Has something moved lately, and does the user still want it? If not, err says so. */
bool http_try_watch(struct http_try *t, struct mir_error *err);
/** What came of it: true with an answer, false with err. Releases what begin took. */
bool http_try_end(struct http_try *t, CURLcode code, struct mir_error *err);
/** The same for a transfer that was given up before its end. */
void http_try_drop(struct http_try *t);

/** Wait until the watch of the connection lets requests go. err: MIR_E_CANCELLED. */
bool http_hold(const struct http_conn *conn, struct mir_error *err);

/* floor.c */
/** The floor where a client has this limit; 0: none. */
uint64_t http_floor_rate(uint64_t limit_rate);
/** Does enough move? bytes: all that has, either way. If not, err says so: MIR_E_NETWORK. */
bool http_floor_watch(struct http_try *t, uint64_t bytes, int64_t now, struct mir_error *err);

/* backoff.c */
/** What Retry-After says, capped; 0: nothing. */
int64_t http_retry_after(const struct http_response *response);

/* rate.c: so many bytes a second, over all threads that share it */
struct http_rate;
struct http_rate *http_rate_new(uint64_t bytes_per_second);
void http_rate_free(struct http_rate *rate);
/** The most bytes to ask for at once, so that the flow stays even. */
size_t http_rate_portion(const struct http_rate *rate, size_t len);
/** Bytes have moved: wait for as long as the rate wants. Ends early on cancel. */
void http_rate_spend(struct http_rate *rate, size_t len, const struct mir_clock *clock,
                     const struct mir_cancel *cancel);

/* fail.c: which error it is that a try ended with this code; before its handle is reset */
bool http_fail_try(const struct http_try *t, CURLcode code, struct mir_error *err);
/** After CURLE_SSL_CONNECT_ERROR: was it the network, so that it may work the next time? */
bool http_is_dropped_handshake(const char *curl_text);

/* tls_fail.c */
/** For MIR_E_TLS: text and hint. words: libcurl's. Always false. */
bool http_fail_tls(struct mir_error *err, const struct http_try *t, CURLcode code,
                   const char *words);
/** Was it an answer in TLS that ended the handshake? */
bool http_is_tls_alert(const char *curl_text);
/** Was it about our certificate, or that we had none? TLS 1.3 says so after the handshake. */
bool http_is_client_alert(const char *curl_text);

/* echo.c */
/** Does a header's value have what we log in with, or what that is made of, escaped or not? */
bool http_repeats_login(const char *text, const char *authorization);

/* answer.c: judging the header of an answer */
bool http_answer_header(struct http_try *t, struct mir_span line);
bool http_answer_begin(struct http_try *t);

/* send.c */
enum http_step {
    HTTP_STEP_ANSWER, /* no redirect: the answer is final */
    HTTP_STEP_FOLLOW, /* the trail leads on */
    HTTP_STEP_FAIL,   /* a redirect that may not be followed; err is set */
};
enum http_step http_redirect(const struct http_request *request,
                             const struct http_response *response, struct http_trail *trail,
                             struct mir_error *err);
/* Has a signed URL been asked for again, and where did the body stand then? Starts as zeros. */
struct http_renewal {
    bool done;
    uint64_t reached;
};
/** Is the refusal that of another host a redirect led to? Signed URLs expire, and many are kept by
 * caches for too long: asked for again at home, once for each position of the body. */
bool http_renew(struct http_conn *conn, const struct http_request *request,
                const struct http_response *response, struct http_renewal *renewal);
void http_response_clear(struct http_response *response);
/** An answer without its body: what retries and redirects leave behind is dropped. */
void http_response_start(struct http_response *response, uint64_t offset);

#endif
