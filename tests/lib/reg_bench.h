/*
 * A registry client under test: fake clock, cancel flag, an empty home, and everything that is
 * logged, so that a test can look for secrets in it.
 *
 * Threads: the log may be written from any; the rest belongs to the main thread.
 */
#ifndef TESTS_LIB_REG_BENCH_H
#define TESTS_LIB_REG_BENCH_H

#include <pthread.h>

#include "base/buf.h"
#include "lib/fake_clock.h"
#include "lib/server.h"
#include "registry/registry.h"

struct reg_bench {
    struct fake_clock clock;
    struct mir_cancel cancel;
    struct mir_sink sink;
    pthread_mutex_t log_lock;
    struct mir_buf log;
    struct reg_client *client;
    struct reg_session *session;
    struct reg_repo repo; /* "team/app" on the server */
    struct mir_error err;
    struct mir_buf got; /* what blob_sink got since its last restart */
    unsigned restarts;
    struct reg_blob_sink blob_sink; /* a test may take its restart away */
    struct mir_span content;        /* what blob_source gives */
    struct reg_blob_source blob_source;
    unsigned reads; /* calls of blob_source */
};

/** For cmocka groups: libcurl's global state, and nobody's credentials. */
int reg_bench_set_up(void **state);
int reg_bench_tear_down(void **state);

/** options may be NULL; clock, cancel and sink are the bench's. Ends the program when there is no
 * client to be had. */
void reg_bench_start(struct reg_bench *bench, const struct server *server,
                     const struct reg_options *options);
void reg_bench_stop(struct reg_bench *bench);
#define auto_reg_bench __attribute__((cleanup(reg_bench_stop))) struct reg_bench

/** An environment without anybody's credentials: HOME and the XDG folders are under dir. */
void reg_bench_empty_home(const char *dir);

/** Is the text in any error, hint or log line? */
bool reg_bench_said(struct reg_bench *bench, const char *text);

/** The descriptor of a blob with this content. */
struct img_descriptor reg_bench_blob_of(const char *content);

#endif
