/*
 * mirror copy: read the command line, plan, show the plan or run it, and say what happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/copying.h"
#include "cli/options.h"
#include "cli/sources.h"
#include "cli/secret.h"
#include "copy/copy.h"
#include "copy/list.h"

enum {
    OPT_FILE = 1,
    OPT_MAX_PER_HOST,
    OPT_PLATFORM,
    OPT_ALL,
    OPT_REQUIRE_DIGEST,
    OPT_KEEP_HOST,
    OPT_MAX_DEPTH,
    OPT_NO_DIGEST_TAGS,
    OPT_NONDISTRIBUTABLE,
    OPT_SINCE,
    OPT_MAPPING,
    OPT_EMIT_DIR,
};

static const struct cli_option options[] = {
    {"file", 'f', "LIST",
     "read sources from LIST, one a line (\"-\": stdin); a line \"SRC DST\" "
     "or \"SRC=DST\" names its destination; repeatable",
     OPT_FILE},
    {"jobs", 'j', "N",
     "transfer at most N things at a time (default 32); how many each host gets "
     "depends on what it bears",
     CLI_OPT_JOBS},
    {"max-per-host", 0, "N", "of these, at most N with one host", OPT_MAX_PER_HOST},
    {"platform", 0, "OS/ARCH[/VARIANT]",
     "take only this platform of an index; repeatable; the "
     "index stays as it is",
     OPT_PLATFORM},
    {"all", 'a', NULL, "take all platforms (the default)", OPT_ALL},
    {"require-digest", 0, NULL, "refuse sources that are not pinned by a digest",
     OPT_REQUIRE_DIGEST},
    {"keep-host", 0, NULL, "below a prefix, put the source's host in front of its path",
     OPT_KEEP_HOST},
    {"max-depth", 0, "N", "join path components deeper than N with '-'", OPT_MAX_DEPTH},
    {"no-digest-tags", 0, NULL, "give images known by digest alone no \"pinned-\" tag",
     OPT_NO_DIGEST_TAGS},
    {"include-nondistributable", 0, NULL, "take layers that are not meant to be redistributed",
     OPT_NONDISTRIBUTABLE},
    {"since", 0, "OLD",
     "leave out configs and layers that OLD holds: an older bundle, the "
     "index.json of one, or a receipt of the mirror",
     OPT_SINCE},
    {"mapping", 0, "FILE", "write a line SOURCE=DESTINATION for each image", OPT_MAPPING},
    {"emit-dir", 0, "DIR", "after a copy into a registry, write cluster objects and node files",
     OPT_EMIT_DIR},
    CLI_COPYING_OPTIONS,
    CLI_ACCESS_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
    CLI_POLICY_OPTIONS,
};

struct arguments {
    struct cli_copying how;
    struct cli_access access;
    struct cli_sources machine;
    const char **sources;
    size_t source_count, source_capacity;
    const char **lists;
    size_t list_count, list_capacity;
    struct img_platform *platforms;
    size_t platform_capacity;
};

static void arguments_release(struct arguments *args)
{
    free(args->sources);
    free(args->lists);
    free(args->platforms);
    cli_access_release(&args->access);
    cli_sources_release(&args->machine);
}

static void add_text(const char ***list, size_t *count, size_t *capacity, const char *text)
{
    mir_grow(list, *count, capacity, sizeof(**list));
    (*list)[(*count)++] = text;
}

static bool add_platform(struct arguments *args, const char *value, struct mir_error *err)
{
    mir_grow(&args->platforms, args->how.copy.platform_count, &args->platform_capacity,
             sizeof(*args->platforms));
    if (!img_platform_parse(mir_span_of(value), &args->platforms[args->how.copy.platform_count],
                            err)) {
        err->code = MIR_E_USAGE;
        return mir_context(err, "--platform");
    }
    args->how.copy.platform_count++;
    args->how.copy.platforms = args->platforms;
    return true;
}

static bool read_number(const char *name, const char *value, uint64_t max, unsigned *out,
                        struct mir_error *err)
{
    uint64_t number;

    if (!cli_number(name, value, 1, max, &number, err))
        return false;
    *out = (unsigned)number;
    return true;
}

/* One argument; the table above says what each option is for. */
static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;
    bool on;

    switch (id) {
    case CLI_POSITIONAL:
        add_text(&args->sources, &args->source_count, &args->source_capacity, value);
        return true;
    case OPT_FILE:
        add_text(&args->lists, &args->list_count, &args->list_capacity, value);
        return true;
    case OPT_MAX_PER_HOST:
        return read_number("max-per-host", value, COPY_JOBS_MAX, &args->how.copy.max_per_host, err);
    case OPT_PLATFORM:
        return add_platform(args, value, err);
    case OPT_ALL:
        return true;
    case OPT_REQUIRE_DIGEST:
        return cli_bool("require-digest", value, &args->how.copy.require_digest, err);
    case OPT_KEEP_HOST:
        return cli_bool("keep-host", value, &args->how.copy.keep_host, err);
    case OPT_MAX_DEPTH:
        return read_number("max-depth", value, 100, &args->how.copy.max_depth, err);
    case OPT_NO_DIGEST_TAGS:
        if (!cli_bool("no-digest-tags", value, &on, err))
            return false;
        args->how.copy.digest_tags = !on;
        return true;
    case OPT_NONDISTRIBUTABLE:
        return cli_bool("include-nondistributable", value, &args->how.copy.nondistributable, err);
    case OPT_SINCE:
        args->how.copy.since = value;
        return true;
    case OPT_MAPPING:
        args->how.mapping = value;
        return true;
    case OPT_EMIT_DIR:
        args->how.emit_dir = value;
        return true;
    default:
        if (cli_copying_is_option(id))
            return cli_copying_take(&args->how, id, value, err);
        if (cli_sources_is_option(id))
            return cli_sources_take(&args->machine, id, value, err);
        return cli_access_take(cli, &args->access, id, value, err);
    }
}

/* ---- adding sources ---- */

static bool add_list(struct copy *copy, const char *path, struct mir_error *err)
{
    auto_list list = {0};

    if (!copy_list_read(path, &list, err))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (!copy_add(copy, list.items[i].source, list.items[i].destination, true, err))
            return mir_context(err, "%s:%u", list.name, list.items[i].line);
    return true;
}

/* Do the lists name every destination themselves? Then all positional arguments are sources; there
 * are none, since a source without a destination has nowhere to go. */
static bool needs_destination(const struct arguments *args)
{
    return args->list_count == 0 || args->source_count > 0;
}

/* The last positional argument, or NULL. */
static const char *destination_of(const struct arguments *args)
{
    return needs_destination(args) && args->source_count > 0 ? args->sources[args->source_count - 1]
                                                             : NULL;
}

static size_t count_sources(const struct arguments *args)
{
    return destination_of(args) ? args->source_count - 1 : 0;
}

/* Standard input brings a list, a bundle or a password. */
static bool claim_stdin(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    for (size_t i = 0; i < args->list_count; i++)
        if (strcmp(args->lists[i], "-") == 0 && !cli_claim_stdin(cli, "--file -", err))
            return false;
    for (size_t i = 0; i < count_sources(args); i++)
        if (!cli_claim_source(cli, args->sources[i], err))
            return false;
    return true;
}

static bool check_places(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    const char *destination = destination_of(args);

    if (!destination && args->list_count == 0)
        return cli_usage(cli, err, "name a source and a destination");
    if (count_sources(args) == 0 && args->list_count == 0)
        return cli_usage(cli, err, "name a destination after the source %s", destination);
    return claim_stdin(cli, args, err);
}

/* Is a registry asked for anything? What is in a list is seen only when it is read. */
static bool needs_registry(const struct arguments *args)
{
    bool needs = args->list_count > 0 || args->how.copy.since;

    for (size_t i = 0; i < args->source_count; i++)
        needs = needs || mir_starts_with(args->sources[i], "docker://");
    return needs;
}

/* What this machine's files say of the copy. */
static bool read_machine(struct arguments *args, struct mir_error *err)
{
    if (needs_registry(args) && !cli_sources_read_registries(&args->machine, err))
        return false;
    if (!cli_sources_read_policy(&args->machine, err))
        return false;
    args->how.copy.rules = cli_sources_rules(&args->machine);
    cli_sources_set_helpers(&args->machine, &args->how.copy.source);
    cli_sources_set_helpers(&args->machine, &args->how.copy.destination);
    return true;
}

static bool open_copy(const struct arguments *args, struct copy **out, struct mir_error *err)
{
    if (!copy_new(&args->how.copy, destination_of(args), out, err))
        return false;
    for (size_t i = 0; i < count_sources(args); i++)
        if (!copy_add(*out, args->sources[i], NULL, false, err))
            return false;
    for (size_t i = 0; i < args->list_count; i++)
        if (!add_list(*out, args->lists[i], err))
            return false;
    return true;
}

/* ---- doing it ---- */

static bool check_emit(const struct arguments *args, struct mir_error *err)
{
    const char *last = args->source_count > 0 ? args->sources[args->source_count - 1] : "docker://";

    if (!args->how.emit_dir || mir_starts_with(last, "docker://"))
        return true;
    (void)mir_fail(err, MIR_E_USAGE, "--emit-dir goes with a copy into a registry, not into %s",
                   last);
    return mir_hint(err, "use \"mirror emit-icsp --from bundle:FILE --mirror HOST\"");
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {
        .how = {.copy = {.digest_tags = true}},
    };
    struct copy *copy = NULL;
    bool go, ok;

    cli_access_init(&args.access);
    cli_copying_init(cli, &args.how);
    if (!cli_read(cli, take_argument, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (!check_emit(&args, err) || !cli_copying_begin(cli, &args.how, err) ||
        !check_places(cli, &args, err) ||
        !cli_access_sides(cli, &args.access, &args.how.copy.source, &args.how.copy.destination,
                          err) ||
        !read_machine(&args, err))
        return false;
    ok = open_copy(&args, &copy, err) && cli_copying_run(cli, &args.how, copy, err);
    copy_free(copy);
    return ok;
}

const struct cli_command cli_copy = {
    .name = "copy",
    .synopsis = "[flags] SOURCE... DESTINATION",
    .summary = "copy images between registries, bundles and OCI layouts",
    .help = "Copy images by digest, every byte as it is.\n"
            "\n"
            "sources:       docker://HOST[:PORT]/REPO[:TAG][@DIGEST], bundle:FILE[:REF],\n"
            "               oci-archive:FILE[:REF] (the same), oci:DIR[:REF], --file LIST;\n"
            "               bundle:-[:REF] (standard input)\n"
            "destinations:  docker://HOST/REPO[:TAG] for one source: exactly there;\n"
            "               docker://HOST[/PREFIX]/, or several sources: the source's path\n"
            "               below it;\n"
            "               bundle:FILE[:REF], bundle:- (standard output), oci:DIR[:REF]\n"
            "\n"
            "TLS: registries are asked over verified https. Hosts on loopback (localhost,\n"
            "127.0.0.0/8, ::1) are asked over https without verification, then over http,\n"
            "as docker does, unless --src-tls-verify or --dest-tls-verify is given; \"=false\"\n"
            "does the same for every host.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
