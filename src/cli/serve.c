/*
 * mirror serve: a read-only registry over bundles, until a signal ends it.
 */
#include "serve/serve.h"

#include <malloc.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "copy/place.h"

#define LISTEN_DEFAULT "127.0.0.1:5000"
#define MAPPED_BYTES   (32 << 10)
#define LOOK_MS        1000 /* waiting ends at once on a signal; this only bounds one call */
#define FINISH_DEFAULT 30
#define FINISH_MAX     86400
#define JOBS_DEFAULT   2
#define MS_IN_S        1000
#define NS_IN_MS       1000000

enum {
    OPT_LISTEN = 1,
    OPT_PREFIX,
    OPT_VERIFY,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_HTPASSWD,
    OPT_ACCESS_LOG,
    OPT_SHUTDOWN_TIMEOUT,
};

static const struct cli_option options[] = {
    {"listen", 'l', "ADDR:PORT",
     "where to listen (default " LISTEN_DEFAULT "); port 0 lets the system pick one", OPT_LISTEN},
    {"prefix", 0, "PATH", "put PATH/ in front of every repository", OPT_PREFIX},
    {"verify", 0, "none|index|full", "what to verify before it is sent (see above; default index)",
     OPT_VERIFY},
    {"tls-cert", 0, "FILE", "serve HTTPS with this certificate and its chain, in PEM",
     OPT_TLS_CERT},
    {"tls-key", 0, "FILE", "its private key, in PEM, if it is not in the same file", OPT_TLS_KEY},
    {"htpasswd", 0, "FILE", "let in only users with a password in FILE (htpasswd -B)",
     OPT_HTPASSWD},
    {"access-log", 0, "FILE",
     "a line for each request to FILE, or to standard output for \"-\", instead of standard error",
     OPT_ACCESS_LOG},
    {"shutdown-timeout", 0, "SECONDS",
     "at the end, wait so long for what is being sent (default 30)", OPT_SHUTDOWN_TIMEOUT},
};

struct arguments {
    struct serve_options serve;
    struct copy_place *places;
    struct serve_source *sources;
    size_t place_count;
    uint64_t shutdown_seconds;
};

static void release_arguments(struct arguments *args)
{
    for (size_t i = 0; i < args->place_count; i++)
        copy_place_release(&args->places[i]);
    free(args->places);
    free(args->sources);
}

/* ---- the command line ---- */

static bool take_source(struct cli *cli, const char *value, struct arguments *args,
                        struct mir_error *err)
{
    struct copy_place *place = &args->places[args->place_count];

    if (!copy_place_parse(mir_span_of(value), false, place, err))
        return false;
    args->place_count++;
    if (place->kind != COPY_PLACE_LAYOUT)
        return cli_usage(cli, err, "%s is not a bundle: serve takes bundle:FILE or oci:DIR", value);
    if (place->ref)
        return cli_usage(cli, err, "serve offers the whole of a bundle, not only %s", place->ref);
    args->sources[args->place_count - 1] =
        (struct serve_source){.path = place->path, .form = place->form};
    return true;
}

static bool take_verify(struct cli *cli, const char *value, enum serve_verify *out,
                        struct mir_error *err)
{
    static const struct {
        const char *word;
        enum serve_verify verify;
    } words[] = {
        {"none", SERVE_VERIFY_NONE}, {"index", SERVE_VERIFY_INDEX}, {"full", SERVE_VERIFY_FULL}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i].word) != 0)
            continue;
        *out = words[i].verify;
        return true;
    }
    return cli_usage(cli, err, "--verify takes none, index or full, not '%s'", value);
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;
    struct serve_options *serve = &args->serve;

    switch (id) {
    case OPT_LISTEN:
        serve->listen = value;
        return serve_check_listen(value, err) || mir_context(err, "--listen");
    case OPT_PREFIX:
        serve->prefix = value;
        return serve_check_prefix(value, err) || mir_context(err, "--prefix");
    case OPT_VERIFY:
        return take_verify(cli, value, &serve->verify, err);
    case OPT_TLS_CERT:
        serve->tls_cert = value;
        return true;
    case OPT_TLS_KEY:
        serve->tls_key = value;
        return true;
    case OPT_HTPASSWD:
        serve->htpasswd = value;
        return true;
    case OPT_ACCESS_LOG:
        serve->access_log = value;
        return true;
    case OPT_SHUTDOWN_TIMEOUT:
        return cli_number("shutdown-timeout", value, 0, FINISH_MAX, &args->shutdown_seconds, err);
    default:
        return take_source(cli, value, args, err);
    }
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (args->place_count == 0)
        return cli_usage(cli, err, "name a bundle to serve");
    if (args->serve.tls_key && !args->serve.tls_cert)
        return cli_usage(cli, err, "--tls-key needs --tls-cert");
    args->serve.source_count = args->place_count;
    return true;
}

/* ---- serving ---- */

/* The line scripts wait for, and read the port from. */
static bool announce(const struct arguments *args, const struct serve_server *server,
                     struct mir_error *err)
{
    (void)printf("listening on %s://%s\n", args->serve.tls_cert ? "https" : "http",
                 serve_address(server));
    return cli_finish_output(err);
}

/* SIGHUP is taken by sigtimedwait() alone, which wants it blocked in every thread: those begun
 * later, which take over this mask. One that comes while we start waits until we look. */
static void block_hangup(sigset_t *hangup)
{
    (void)sigemptyset(hangup);
    (void)sigaddset(hangup, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, hangup, NULL);
}

/* Clients come and go in many threads. Left to itself, glibc gives each thread an arena and keeps
 * in it the most that thread ever needed at a time, so that memory grows for hours. Pieces of blobs
 * are mapped instead, and go back to the system with the client; small things share one arena. */
static void keep_memory_flat(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    (void)mallopt(M_ARENA_MAX, 1);
#endif
}

static void reload(struct cli *cli, struct serve_server *server)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (serve_reload(server, &err))
        mir_log(&cli->sink, MIR_LEVEL_INFO, "read again: %zu repositories",
                serve_repo_count(server));
    else
        mir_log(&cli->sink, MIR_LEVEL_ERROR, "not read again, all stays as it was: %s", err.text);
}

static void serve_until_told(struct cli *cli, struct serve_server *server, const sigset_t *hangup)
{
    static const struct timespec look = {.tv_sec = LOOK_MS / MS_IN_S,
                                         .tv_nsec = (long)(LOOK_MS % MS_IN_S) * NS_IN_MS};

    while (!mir_is_cancelled(cli->cancel)) {
        if (sigtimedwait(hangup, NULL, &look) == SIGHUP)
            reload(cli, server);
        serve_tick(server);
    }
}

static void finish(struct cli *cli, const struct arguments *args, struct serve_server *server)
{
    size_t left = serve_finish(server, (int64_t)args->shutdown_seconds * MS_IN_S);

    if (left > 0)
        mir_log(&cli->sink, MIR_LEVEL_WARN, "%zu transfers were broken off", left);
}

static bool is_loopback(const char *address)
{
    return mir_starts_with(address, "127.") || mir_starts_with(address, "[::1]") ||
           mir_starts_with(address, "localhost:");
}

static bool serve(struct cli *cli, struct arguments *args, struct mir_error *err)
{
    struct serve_server *server;
    sigset_t hangup;
    bool announced;

    keep_memory_flat();
    block_hangup(&hangup);
    args->serve.sink = &cli->sink;
    args->serve.cancel = cli->cancel;
    if (!serve_start(&args->serve, &server, err))
        return false;
    mir_log(&cli->sink, MIR_LEVEL_INFO, "%zu repositories", serve_repo_count(server));
    if (args->serve.htpasswd && !args->serve.tls_cert && !is_loopback(serve_address(server)))
        mir_log(&cli->sink, MIR_LEVEL_WARN,
                "passwords come over the network as anybody can read them: add --tls-cert");
    announced = announce(args, server, err);
    if (announced) {
        serve_until_told(cli, server, &hangup);
        finish(cli, args, server);
    }
    serve_stop(server);
    return announced;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct arguments args = {
        .serve = {.listen = LISTEN_DEFAULT,
                  .verify = SERVE_VERIFY_INDEX,
                  .jobs = processors > 1 ? (unsigned)processors : JOBS_DEFAULT},
        .shutdown_seconds = FINISH_DEFAULT};
    bool go, ok;

    args.places = mir_alloc_array((size_t)cli->argc, sizeof(*args.places));
    args.sources = mir_alloc_array((size_t)cli->argc, sizeof(*args.sources));
    args.serve.sources = args.sources;
    ok = read_arguments(cli, &args, &go, err);
    if (ok && go)
        ok = serve(cli, &args, err);
    release_arguments(&args);
    return ok;
}

const struct cli_command cli_serve = {
    .name = "serve",
    .synopsis = "[flags] bundle:FILE|oci:DIR...",
    .summary = "a read-only registry straight from a bundle",
    .help = "Serve bundles, other OCI archives and layouts to any client that pulls from a\n"
            "registry. Nothing is unpacked. An image named HOST/REPO:TAG is there as REPO:TAG\n"
            "and as HOST/REPO:TAG, and by digest. A differential is served together with its\n"
            "base: name both.\n"
            "\n"
            "Manifests are held against their digest each time. With --verify=index, images\n"
            "that lack something are not served, and a blob is hashed when it is sent for the\n"
            "first time: the end of one that turns out damaged is not sent. --verify=full\n"
            "hashes all blobs before the first request; --verify=none sends them as they lie.\n"
            "\n"
            "When it is ready, one line \"listening on http://ADDR:PORT\" (or https) goes to\n"
            "standard output. SIGHUP reads bundles and users again; SIGINT or SIGTERM ends it\n"
            "once what is being sent has been sent, a second one at once.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
