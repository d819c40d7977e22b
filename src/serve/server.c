/*
 * The server: a socket, a few threads of libmicrohttpd, two desks for slow work, and the view they
 * serve. Rereading puts another view in the place of the first; a request keeps the one it began
 * with.
 */
#include "serve/serve.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/ref.h"
#include "serve/server_priv.h"

#define THREADS          8
#define CONNECTIONS_MAX  1000        /* more wait until there is room */
#define FILES_KEPT       64          /* of the open files allowed, for all but clients */
#define IDLE_SECONDS     60          /* a connection without progress is closed */
#define CONNECTION_BYTES (32 * 1024) /* headers of a request; more is refused with 431 */
#define PEM_MAX          (1u << 20)
#define FINISH_LOOK_MS   20

/* No TLS 1.0 and 1.1, whatever the library's defaults are. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct serve_view *serve_server_view(struct serve_server *server)
{
    struct serve_view *view;

    (void)pthread_mutex_lock(&server->lock);
    view = server->view;
    serve_view_hold(view);
    (void)pthread_mutex_unlock(&server->lock);
    return view;
}

/* ---- the daemon ---- */

static void library_log(void *ctx, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void library_log(void *ctx, const char *fmt, va_list args)
{
    struct serve_server *server = ctx;
    char line[sizeof(server->library_text)];
    int len = vsnprintf(line, sizeof(line), fmt, args);

    if (len <= 0)
        return;
    line[strcspn(line, "\n")] = '\0';
    mir_log(server->options.sink, MIR_LEVEL_DEBUG, "http: %s", line);
    (void)pthread_mutex_lock(&server->lock);
    memcpy(server->library_text, line, sizeof(line));
    (void)pthread_mutex_unlock(&server->lock);
}

static bool no_daemon(struct serve_server *server, struct mir_error *err)
{
    char why[sizeof(server->library_text)];

    (void)pthread_mutex_lock(&server->lock);
    memcpy(why, server->library_text, sizeof(why));
    (void)pthread_mutex_unlock(&server->lock);
    return mir_fail(err, MIR_E_IO, "the HTTP server does not start%s%s", why[0] ? ": " : "", why);
}

/* Each may hold two files, itself and the one it is sent from. */
static unsigned connection_limit(void)
{
    struct rlimit files;
    uint64_t room = CONNECTIONS_MAX;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < room + FILES_KEPT)
        room = files.rlim_cur / 2 > FILES_KEPT ? files.rlim_cur / 2 - FILES_KEPT : 0;
    return room > THREADS ? (unsigned)room : THREADS;
}

/* Takes fd on success; on failure the caller still has it. tls ends in MHD_OPTION_END. */
static bool start_daemon(struct serve_server *server, int fd, unsigned flags,
                         struct MHD_OptionItem *tls, struct mir_error *err)
{
    server->daemon = MHD_start_daemon(
        flags | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC |
            MHD_ALLOW_SUSPEND_RESUME,
        0, NULL, NULL, serve_request_access, server, MHD_OPTION_EXTERNAL_LOGGER, library_log,
        server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, connection_limit(), MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_URI_LOG_CALLBACK, serve_request_begin, server, MHD_OPTION_NOTIFY_COMPLETED,
        serve_request_completed, server, MHD_OPTION_NOTIFY_CONNECTION, serve_guests_note, server,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    return server->daemon || no_daemon(server, err);
}

static bool start_plain(struct serve_server *server, int fd, struct mir_error *err)
{
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    return start_daemon(server, fd, MHD_NO_FLAG, none, err);
}

static bool start_tls(struct serve_server *server, int fd, struct mir_error *err)
{
    const char *key_path =
        server->options.tls_key ? server->options.tls_key : server->options.tls_cert;
    auto_free char *cert = NULL;
    auto_free_secret char *key = NULL;
    char priorities[] = TLS_PRIORITIES;
    size_t len;

    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        (void)mir_fail(err, MIR_E_UNSUPPORTED, "libmicrohttpd was built without TLS here");
        return mir_hint(err, "serve plain HTTP on a loopback address behind a proxy with TLS");
    }
    if (!mir_file_read(server->options.tls_cert, PEM_MAX, &cert, &len, err) ||
        !mir_file_read(key_path, PEM_MAX, &key, &len, err))
        return mir_context(err, "TLS");
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, cert},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, key},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, priorities},
                                   {MHD_OPTION_END, 0, NULL}};
    return start_daemon(server, fd, MHD_USE_TLS, tls, err) ||
           mir_context(err, "%s, %s", server->options.tls_cert, key_path);
}

/* ---- starting ---- */

static void name_address(struct serve_server *server, const struct serve_address *address)
{
    bool is_ipv6 = strchr(address->host, ':') != NULL;

    (void)snprintf(server->address, sizeof(server->address), "%s%s%s:%u", is_ipv6 ? "[" : "",
                   address->host[0] ? address->host : "0.0.0.0", is_ipv6 ? "]" : "",
                   (unsigned)server->port);
}

bool serve_check_listen(const char *listen, struct mir_error *err)
{
    struct serve_address ignored;

    return serve_address_parse(listen, &ignored, err);
}

bool serve_check_prefix(const char *prefix, struct mir_error *err)
{
    if (img_is_repo(mir_span_of(prefix)))
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "'%s' cannot stand in front of a repository", prefix);
    return mir_hint(err,
                    "write lower-case components with '/' between them, for example mirror/ocp");
}

static bool open_server(struct serve_server *server, struct mir_error *err)
{
    const struct serve_options *options = &server->options;
    struct serve_address address;
    auto_close int fd = -1;

    if (!serve_address_parse(options->listen, &address, err) ||
        (options->prefix && !serve_check_prefix(options->prefix, err)) ||
        !serve_listen(&address, &fd, &server->port, err) ||
        (options->access_log && !serve_access_log_open(options->access_log, &server->log, err)) ||
        !serve_view_new(options, NULL, &server->view, err) ||
        !serve_desk_new(&server->passwords, err) || !serve_desk_new(&server->hashes, err) ||
        (!serve_listen_begin(fd, err) && !mir_context(err, "%s", options->listen)))
        return false;
    if (options->tls_cert ? !start_tls(server, fd, err) : !start_plain(server, fd, err))
        return false;
    (void)mir_steal_fd(&fd); /* the daemon closes it */
    name_address(server, &address);
    return true;
}

bool serve_start(const struct serve_options *options, struct serve_server **out,
                 struct mir_error *err)
{
    struct serve_server *server = mir_alloc(sizeof(*server));

    server->options = *options;
    server->clock = options->clock ? options->clock : mir_clock_real();
    (void)pthread_mutex_init(&server->lock, NULL);
    serve_guests_init(&server->guests);
    if (!open_server(server, err)) {
        serve_stop(server);
        return false;
    }
    *out = server;
    return true;
}

const char *serve_address(const struct serve_server *server)
{
    return server->address;
}

uint16_t serve_port(const struct serve_server *server)
{
    return server->port;
}

size_t serve_repo_count(struct serve_server *server)
{
    struct serve_view *view = serve_server_view(server);
    size_t count = serve_catalog_repos(view->catalog)->count;

    serve_view_drop(view);
    return count;
}

/* ---- while it runs ---- */

bool serve_reload(struct serve_server *server, struct mir_error *err)
{
    struct serve_view *before = server->view; /* only this thread changes it */
    struct serve_view *view;

    if (server->log && !serve_access_log_reopen(server->log, err))
        return false;
    if (!serve_view_new(&server->options, before, &view, err))
        return false;
    (void)pthread_mutex_lock(&server->lock);
    server->view = view;
    (void)pthread_mutex_unlock(&server->lock);
    serve_view_drop(before);
    return true;
}

void serve_tick(struct serve_server *server)
{
    serve_guests_tick(&server->guests, mir_clock_now(server->clock));
}

/* ---- the end ---- */

static void close_port(struct serve_server *server)
{
    int fd;

    if (atomic_exchange(&server->is_finishing, true) || !server->daemon)
        return;
    fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0)
        (void)close(fd);
}

size_t serve_finish(struct serve_server *server, int64_t limit_ms)
{
    int64_t end = mir_clock_now(server->clock) + limit_ms;

    close_port(server);
    while (atomic_load(&server->active) > 0 && mir_clock_now(server->clock) < end) {
        serve_tick(server);
        (void)mir_clock_wait(server->clock, FINISH_LOOK_MS, NULL);
    }
    return atomic_load(&server->active);
}

void serve_stop(struct serve_server *server)
{
    if (!server)
        return;
    close_port(server);
    /* No connection may be suspended when the daemon stops. */
    atomic_store(&server->hashing.flag, 1);
    serve_desk_close(server->passwords);
    serve_desk_close(server->hashes);
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    serve_desk_free(server->passwords);
    serve_desk_free(server->hashes);
    serve_access_log_close(server->log);
    serve_view_drop(server->view);
    serve_guests_release(&server->guests);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
