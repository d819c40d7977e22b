/*
 * The registry client under test, and what it says.
 */
#include "lib/reg_bench.h"

#include "base/mem.h"
#include "lib/http_bench.h"
#include "lib/scratch.h"

static void keep_line(void *ctx, enum mir_level level, const char *line)
{
    struct reg_bench *bench = ctx;

    (void)level;
    (void)pthread_mutex_lock(&bench->log_lock);
    mir_buf_printf(&bench->log, "%s\n", line);
    (void)pthread_mutex_unlock(&bench->log_lock);
}

static bool take_bytes(void *ctx, struct mir_span bytes, struct mir_error *err)
{
    struct reg_bench *bench = ctx;

    (void)err;
    mir_buf_add(&bench->got, bytes);
    return true;
}

static bool give_bytes(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    struct reg_bench *bench = ctx;

    if (offset > bench->content.len || len > bench->content.len - offset)
        return mir_fail(err, MIR_E_IO, "asked for bytes that are not there");
    bench->reads++;
    memcpy(data, bench->content.ptr + offset, len);
    return true;
}

static void forget_bytes(void *ctx)
{
    struct reg_bench *bench = ctx;

    bench->restarts++;
    mir_buf_clear(&bench->got);
}

void reg_bench_start(struct reg_bench *bench, const struct server *server,
                     const struct reg_options *options)
{
    struct reg_options own = options ? *options : (struct reg_options){.retry_times = 3};

    *bench = (struct reg_bench){.repo = {.host = server_host(server), .name = "team/app"}};
    fake_clock_init(&bench->clock);
    (void)pthread_mutex_init(&bench->log_lock, NULL);
    mir_buf_init(&bench->log, 16u << 20);
    mir_buf_init(&bench->got, 64u << 20);
    bench->sink = (struct mir_sink){.emit = keep_line, .ctx = bench, .level = MIR_LEVEL_TRACE};
    bench->blob_sink =
        (struct reg_blob_sink){.write = take_bytes, .restart = forget_bytes, .ctx = bench};
    bench->blob_source = (struct reg_blob_source){.read = give_bytes, .ctx = bench};
    own.clock = &bench->clock.clock;
    own.cancel = &bench->cancel;
    own.sink = &bench->sink;
    if (!reg_client_new(&own, &bench->client, &bench->err))
        scratch_die("no client: %s", bench->err.text);
    bench->session = reg_session_new(bench->client);
}

void reg_bench_stop(struct reg_bench *bench)
{
    reg_session_free(bench->session);
    reg_client_free(bench->client);
    mir_buf_release(&bench->log);
    mir_buf_release(&bench->got);
}

static void set(const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0)
        scratch_die("setenv %s", name);
}

void reg_bench_empty_home(const char *dir)
{
    set("HOME", dir);
    set("XDG_RUNTIME_DIR", dir);
    (void)unsetenv("XDG_CONFIG_HOME");
    (void)unsetenv("DOCKER_CONFIG");
    (void)unsetenv("REGISTRY_AUTH_FILE");
}

bool reg_bench_said(struct reg_bench *bench, const char *text)
{
    return strstr(bench->err.text, text) || strstr(bench->err.hint, text) ||
           strstr(bench->log.ptr, text);
}

struct img_descriptor reg_bench_blob_of(const char *content)
{
    struct img_descriptor blob = {.size = strlen(content)};

    img_digest_of(MIR_HASH_SHA256, mir_span_of(content), &blob.digest);
    return blob;
}

int reg_bench_set_up(void **state)
{
    reg_bench_empty_home("/nonexistent");
    return http_bench_set_up(state);
}

int reg_bench_tear_down(void **state)
{
    return http_bench_tear_down(state);
}
