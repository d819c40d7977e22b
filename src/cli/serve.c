/*
 * mirror serve: a read-only registry over bundles, until a signal ends it.
 */
#include "serve/serve.h"

#include "base/mem.h"
#include "bundle/bundle.h"
#include "cli/cli.h"
#include "copy/place.h"

#define LISTEN_DEFAULT "127.0.0.1:5000"
#define LOOK_MS        1000 /* waiting ends at once on a signal; this only bounds one call */

enum {
    OPT_LISTEN = 1,
};

static const struct cli_option options[] = {
    {"listen", 'l', "ADDR:PORT",
     "where to listen (default " LISTEN_DEFAULT "); port 0 lets the system pick one", OPT_LISTEN},
};

struct arguments {
    const char *listen;
    struct copy_place *places;
    size_t place_count;
};

static void release_arguments(struct arguments *args)
{
    for (size_t i = 0; i < args->place_count; i++)
        copy_place_release(&args->places[i]);
    free(args->places);
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
    return true;
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    if (id != OPT_LISTEN)
        return take_source(cli, value, args, err);
    args->listen = value;
    return serve_check_listen(value, err) || mir_context(err, "--listen");
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (args->place_count == 0)
        return cli_usage(cli, err, "name a bundle to serve");
    return true;
}

/* ---- serving ---- */

/* The line scripts wait for, and read the port from. */
static bool announce(const struct serve_server *server, struct mir_error *err)
{
    (void)printf("listening on http://%s\n", serve_address(server));
    return cli_finish_output(err);
}

static bool serve(struct cli *cli, const char *listen, struct bundle_reader *const *readers,
                  size_t reader_count, struct mir_error *err)
{
    struct serve_options serve_options = {.listen = listen,
                                          .readers = readers,
                                          .reader_count = reader_count,
                                          .sink = &cli->sink,
                                          .cancel = cli->cancel};
    struct serve_server *server;
    bool announced;

    if (!serve_start(&serve_options, &server, err))
        return false;
    mir_log(&cli->sink, MIR_LEVEL_INFO, "%zu repositories", serve_repo_count(server));
    announced = announce(server, err);
    while (announced && !mir_is_cancelled(cli->cancel))
        (void)mir_clock_wait(mir_clock_real(), LOOK_MS, cli->cancel);
    serve_stop(server);
    return announced;
}

static bool open_and_serve(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    auto_free struct bundle_reader **readers = mir_alloc_array(args->place_count, sizeof(*readers));
    size_t opened = 0;
    bool ok = true;

    while (ok && opened < args->place_count) {
        const struct copy_place *place = &args->places[opened];

        ok = bundle_reader_open(place->path, place->form, &readers[opened], err);
        opened += ok;
    }
    ok = ok && serve(cli, args->listen, readers, opened, err);
    while (opened > 0)
        bundle_reader_close(readers[--opened]);
    return ok;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    struct arguments args = {.listen = LISTEN_DEFAULT};
    bool go, ok;

    args.places = mir_alloc_array((size_t)cli->argc, sizeof(*args.places));
    ok = read_arguments(cli, &args, &go, err);
    if (ok && go)
        ok = open_and_serve(cli, &args, err);
    release_arguments(&args);
    return ok;
}

const struct cli_command cli_serve = {
    .name = "serve",
    .synopsis = "[flags] bundle:FILE|oci:DIR...",
    .summary = "a read-only registry straight from a bundle",
    .help = "Serve bundles, other OCI archives and layouts to any client that pulls from a\n"
            "registry. Nothing is unpacked. An image named HOST/REPO:TAG is there as REPO:TAG\n"
            "and as HOST/REPO:TAG, and by digest. Plain HTTP, without log-in: keep it on a\n"
            "loopback address, or behind something that adds both.\n"
            "\n"
            "When it is ready, one line \"listening on http://ADDR:PORT\" goes to standard\n"
            "output. Requests are logged on standard error. SIGINT or SIGTERM ends it.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
