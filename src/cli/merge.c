/*
 * mirror merge: several bundles as one. The copy engine does it; what is added here is that one
 * name may not stand for two contents, which a copy allows where both are pinned.
 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/copying.h"
#include "cli/options.h"
#include "cli/sources.h"
#include "copy/copy.h"

enum {
    OPT_OUTPUT = 1,
};

static const struct cli_option options[] = {
    {"output", 'o', "FILE", "the bundle to be written: FILE, bundle:FILE, bundle:- or oci:DIR",
     OPT_OUTPUT},
    {"jobs", 'j', "N", "move at most N things at a time (default 32)", CLI_OPT_JOBS},
    CLI_COPYING_OPTIONS,
    CLI_POLICY_OPTIONS,
};

struct arguments {
    struct cli_copying how;
    struct cli_sources machine;
    char **sources;
    size_t source_count, source_capacity;
    char *output; /* NULL: not given */
};

static void arguments_release(struct arguments *args)
{
    for (size_t i = 0; i < args->source_count; i++)
        free(args->sources[i]);
    free(args->sources);
    free(args->output);
    cli_sources_release(&args->machine);
}

/* As copies name it: a path alone is a bundle, or a layout where it is a directory. */
static char *place_of(const char *text)
{
    auto_free char *place = NULL;
    bool has_transport = mir_starts_with(text, "bundle:") || mir_starts_with(text, "oci:") ||
                         mir_starts_with(text, "oci-archive:") ||
                         mir_starts_with(text, "docker://");

    if (has_transport)
        return mir_strdup(text);
    place = cli_place_of_path(text);
    return strcmp(place, text) == 0 ? mir_format("bundle:%s", text) : mir_steal(&place);
}

static bool take_place(struct cli *cli, const char *value, char **out, struct mir_error *err)
{
    if (value[0] == '\0')
        return cli_usage(cli, err, "a bundle without a name");
    if (mir_starts_with(value, "docker://"))
        return cli_usage(cli, err, "%s: bundles are merged; \"mirror copy\" knows registries too",
                         value);
    *out = place_of(value);
    return true;
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;
    char *place = NULL;

    if (cli_copying_is_option(id))
        return cli_copying_take(&args->how, id, value, err);
    if (cli_sources_is_option(id))
        return cli_sources_take(&args->machine, id, value, err);
    if (!take_place(cli, value, &place, err))
        return false;
    if (id == OPT_OUTPUT) {
        free(args->output);
        args->output = place;
        return true;
    }
    mir_grow(&args->sources, args->source_count, &args->source_capacity, sizeof(*args->sources));
    args->sources[args->source_count++] = place;
    return true;
}

/* ---- one name, one content ---- */

/* "host/repo:tag" of "host/repo:tag@digest"; NULL when the digest is all there is. */
static char *tagged_name(const struct copy_result *image)
{
    const char *at = image->pinned ? strchr(image->pinned, '@') : NULL;
    auto_free char *name = at ? mir_strndup(image->pinned, (size_t)(at - image->pinned)) : NULL;
    const char *slash = name ? strrchr(name, '/') : NULL;

    return slash && strchr(slash, ':') ? mir_steal(&name) : NULL;
}

/* "bundle:FILE" of "bundle:FILE:NAME"; the caller frees. */
static char *file_of(const struct copy_result *image)
{
    const char *path = strchr(image->source, ':') + 1;

    return mir_strndup(image->source, (size_t)(path - image->source) + strcspn(path, ":"));
}

static bool two_contents(const char *name, const struct copy_result *a, const struct copy_result *b,
                         struct mir_error *err)
{
    auto_free char *in = file_of(a);
    auto_free char *other = file_of(b);

    (void)mir_fail(err, MIR_E_CONFLICT, "%s is %s in %s, and %s in %s", name, a->digest, in,
                   b->digest, other);
    return mir_hint(err, "name the images that are meant (bundle:FILE:NAME), or keep two bundles");
}

static bool check_names(const struct copy *copy, struct mir_error *err)
{
    size_t count = copy_image_count(copy);
    auto_free struct copy_result *images = mir_alloc_array(count, sizeof(*images));
    auto_map *seen = mir_map_new();

    for (size_t i = 0; i < count; i++) {
        auto_free char *name = NULL;
        const struct copy_result *known;

        copy_get_result(copy, i, &images[i]);
        name = tagged_name(&images[i]);
        known = name ? mir_map_find(seen, mir_span_of(name)) : NULL;
        if (known && strcmp(known->digest, images[i].digest) != 0)
            return two_contents(name, known, &images[i], err);
        if (name)
            mir_map_set(seen, mir_span_of(name), &images[i]);
    }
    return true;
}

/* ---- the command ---- */

static bool open_copy(struct cli *cli, const struct arguments *args, struct copy **out,
                      struct mir_error *err)
{
    for (size_t i = 0; i < args->source_count; i++)
        if (!cli_claim_source(cli, args->sources[i], err))
            return false;
    if (!copy_new(&args->how.copy, args->output, out, err))
        return false;
    for (size_t i = 0; i < args->source_count; i++)
        if (!copy_add(*out, args->sources[i], NULL, false, err))
            return false;
    return check_names(*out, err);
}

static bool merge(struct cli *cli, struct arguments *args, struct mir_error *err)
{
    struct copy *copy = NULL;
    bool ok;

    if (!cli_copying_begin(cli, &args->how, err) || !cli_sources_read_policy(&args->machine, err))
        return false;
    args->how.copy.rules = cli_sources_rules(&args->machine);
    ok = open_copy(cli, args, &copy, err) && cli_copying_run(cli, &args->how, copy, err);
    copy_free(copy);
    return ok;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {
        .how = {.copy = {.nondistributable_held = true}},
    };
    bool go;

    cli_copying_init(cli, &args.how);
    if (!cli_read(cli, take_argument, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (args.source_count == 0)
        return cli_usage(cli, err, "name the bundles to be merged");
    if (!args.output)
        return cli_usage(cli, err, "name the bundle to be written with --output");
    return merge(cli, &args, err);
}

const struct cli_command cli_merge = {
    .name = "merge",
    .synopsis = "[flags] BUNDLE... -o BUNDLE",
    .summary = "make one bundle of several",
    .help = "Make one bundle of several, or of a differential and its base. A BUNDLE is a\n"
            "path, bundle:FILE (volumes too), bundle:FILE:NAME for one image of it, or\n"
            "oci:DIR. The result is the bundle that would have been made of all images at\n"
            "once, to the byte. A name that stands for two contents is an error.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
