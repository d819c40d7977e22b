/*
 * A server over a small layout, and a client that sends what it is told and nothing else.
 *
 * Threads: the client's functions may be called from any; the rest belongs to the main thread.
 */
#ifndef TESTS_LIB_SERVE_BENCH_H
#define TESTS_LIB_SERVE_BENCH_H

#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"
#include "lib/fake_clock.h"
#include "lib/fixture.h"
#include "serve/serve.h"

#define SERVE_BENCH_HOST        "registry.example.invalid"
#define SERVE_BENCH_LAYER_BYTES 300000 /* of file in each layer of child */
#define SERVE_BENCH_ZEROS       "00000000000000000000000000000000"
#define SERVE_BENCH_NOBODY      "sha256:" SERVE_BENCH_ZEROS SERVE_BENCH_ZEROS

/* ---- the client ---- */

struct serve_reply {
    unsigned status; /* 0: none came, or a broken one */
    char *head;      /* with the status line; ends in the empty line */
    char *body;
    size_t body_len; /* what came, also of a broken one */
};

void serve_reply_release(struct serve_reply *reply);
#define auto_reply __attribute__((cleanup(serve_reply_release))) struct serve_reply

/** The value of a header, or NULL; the caller frees. */
char *serve_reply_header(const struct serve_reply *reply, const char *name);
/** The code in the body of a refusal, or ""; the caller frees. */
char *serve_reply_code(const struct serve_reply *reply);

/** A connection. A test that gets no answer for 20 s does not hang. */
int serve_dial(uint16_t port);
/** One that takes few bytes before the server has to wait, and takes more from widen on. */
int serve_dial_narrow(uint16_t port);
void serve_widen(int fd);
void serve_send(int fd, const char *text);
/** One answer off a connection. */
void serve_read_reply(int fd, bool has_body, struct serve_reply *out);
/** Exactly these bytes of a request, and the answer. */
void serve_ask_raw(uint16_t port, const char *request, struct serve_reply *out);
/** headers are lines, each with its CRLF. The connection is closed afterwards. */
void serve_ask(uint16_t port, const char *method, const char *target, const char *headers,
               struct serve_reply *out);

/* ---- the server ---- */

struct serve_bench {
    char *dir;
    struct bundle_reader *reader; /* of the layout, to know what is right */
    /* index (child, another for arm64) is HOST/team/app:1, other is :2, sbom is :sbom and refers to
     * index; artifact is elsewhere.invalid/team/app:2 and .../team/sbom:1; nobody refers to stray.
     */
    struct fixture_item index, child, other, artifact, sbom, stray;
    struct img_digest layer; /* of child */

    struct serve_source sources[4];
    struct serve_options options; /* may be changed before start; sources are the layout */
    struct fake_clock clock;
    struct mir_sink sink;
    pthread_mutex_t log_lock;
    struct mir_buf log;
    struct serve_server *server;
    uint16_t port;
};

/** Make the layout; nothing is served yet. */
void serve_bench_init(struct serve_bench *bench);
/** Serve; ends the program when that fails. */
void serve_bench_start(struct serve_bench *bench);
/** Stop serving; may be started again. */
void serve_bench_stop(struct serve_bench *bench);
void serve_bench_release(struct serve_bench *bench);
#define auto_serve_bench __attribute__((cleanup(serve_bench_release))) struct serve_bench

/** For cmocka groups that share one server: *state is the bench. */
int serve_bench_set_up(void **state);
int serve_bench_tear_down(void **state);

/** A line of a file of users, as "htpasswd -B" writes it; the caller frees. */
char *serve_bench_user(const char *user, const char *password, unsigned long cost);
/** Does the log hold this text? */
bool serve_bench_said(struct serve_bench *bench, const char *text);
/** The bytes of a blob of the layout; the caller frees. */
char *serve_bench_load(const struct serve_bench *bench, const struct img_digest *digest,
                       size_t *len);
/** Where it lies; the caller frees. */
char *serve_bench_path(const struct serve_bench *bench, const struct img_digest *digest);
/** The status of a request without headers. */
unsigned serve_bench_status(const struct serve_bench *bench, const char *method,
                            const char *target);

#endif
