#include "lib/http_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

int http_bench_set_up(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;

    (void)state;
    return http_global_init(&err) ? 0 : -1;
}

int http_bench_tear_down(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
}

void http_bench_start_with(struct http_bench *b, struct http_options options)
{
    *b = (struct http_bench){.cancel = {0}};
    fake_clock_init(&b->clock);
    options.clock = &b->clock.clock;
    options.cancel = &b->cancel;
    b->client = http_client_new(&options);
    b->conn = http_conn_new(b->client);
    mir_buf_init(&b->got, 64u << 20);
}

void http_bench_start(struct http_bench *b, unsigned retry_times)
{
    http_bench_start_with(b, (struct http_options){.retry_times = retry_times});
}

void http_bench_stop(struct http_bench *b)
{
    http_response_release(&b->response);
    http_conn_free(b->conn);
    http_client_free(b->client);
    mir_buf_release(&b->got);
}

bool http_bench_take(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    struct http_bench *b = ctx;

    if (b->sink_fails)
        return mir_fail(err, MIR_E_SPACE, "the disk is full");
    mir_buf_add(&b->got, bytes);
    return true;
}

bool http_bench_get(struct http_bench *b, const struct server *server, const char *path,
                    uint64_t size)
{
    auto_free char *url = mir_format("%s%s", server_url(server), path);
    const struct http_sink sink = {.write = http_bench_take, .ctx = b};
    const struct http_request request = {.method = HTTP_GET,
                                         .url = url,
                                         .authorization = "Bearer secret-token",
                                         .sink = size > 0 ? &sink : NULL,
                                         .has_size = size > 0,
                                         .size = size,
                                         .body_max = 1000};

    mir_error_clear(&b->err);
    http_response_release(&b->response);
    mir_buf_clear(&b->got);
    return http_send(b->conn, &request, &b->response, &b->err);
}

void http_bench_must_have_body(const struct http_bench *b)
{
    if (b->err.code != MIR_OK)
        fail_msg("%s", b->err.text);
    assert_string_equal(b->got.ptr, HTTP_BENCH_BODY);
    assert_int_equal(b->response.reached, HTTP_BENCH_BODY_LEN);
}
