/*
 * mirror emit-icsp: the cluster objects, and the node files, that make a cluster pull from a
 * mirror.
 *
 * This file reads the options and turns what --from names into a mapping; making objects is icsp/'s
 * work, writing them emit.c's.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "bundle/bundle.h"
#include "cli/emit.h"
#include "cli/secret.h"
#include "copy/landing.h"
#include "copy/list.h"
#include "copy/place.h"

#define CA_BYTES_MAX    (1u << 20)
#define TRANSPORT       "docker://"
#define MAX_DEPTH_LIMIT 100

enum {
    OPT_FROM = 1,
    OPT_MIRROR,
    OPT_KIND,
    OPT_SCOPE,
    OPT_NAME,
    OPT_OUTPUT_DIR,
    OPT_ONLY,
    OPT_KEEP_HOST,
    OPT_MAX_DEPTH,
    OPT_INSECURE,
    OPT_ALLOW_ONLY,
    OPT_ALLOW,
    OPT_BLOCK_SOURCE,
    OPT_BLOCK,
    OPT_CA,
    OPT_IMPORT_FROM,
    OPT_EXTERNAL_HOSTNAME,
    OPT_RELEASE_IMAGE,
    OPT_OCP,
    OPT_STRICT,
    OPT_WITH,
};

static const struct cli_option options[] = {
    {"from", 0, "WHAT",
     "bundle:FILE, the --mapping or --report file of a copy, or a list (\"-\": stdin)", OPT_FROM},
    {"mirror", 0, "HOST[:PORT][/PREFIX]", "where the images are, or will be", OPT_MIRROR},
    {"kind", 0, "LIST", "objects to write: icsp, idms, itms, joined by commas (default icsp)",
     OPT_KIND},
    {"scope", 0, "LEVEL",
     "repository (default), namespace, registry or auto: how broad the entries are; auto: as broad "
     "as is proved to be right",
     OPT_SCOPE},
    {"with", 0, "FILE|DIR",
     "objects that the cluster has already (repeatable): what is written goes with them", OPT_WITH},
    {"name", 0, "NAME", "name of the mirror objects (default mirror)", OPT_NAME},
    {"output-dir", 'o', "DIR", "write one file for each object, and the node's tree under node/",
     OPT_OUTPUT_DIR},
    {"only", 0, "FILE", "print this file alone: image.yaml, registries.conf, ...", OPT_ONLY},
    {"keep-host", 0, NULL, "the copy was made with --keep-host (bundles, lists)", OPT_KEEP_HOST},
    {"max-depth", 0, "N", "the copy was made with --max-depth N (bundles, lists)", OPT_MAX_DEPTH},
    {"insecure", 0, NULL, "the mirror has no certificate that nodes can check, or speaks http",
     OPT_INSECURE},
    {"allow-only", 0, NULL,
     "allow only the images' sources, the mirror and the cluster's own registry", OPT_ALLOW_ONLY},
    {"allow", 0, "SCOPE", "one more allowed registry (repeatable)", OPT_ALLOW},
    {"block-source", 0, NULL, "block the registries the images come from", OPT_BLOCK_SOURCE},
    {"block", 0, "SCOPE", "one more blocked registry (repeatable)", OPT_BLOCK},
    {"ca", 0, "HOST[:PORT]=FILE", "certificate authority of a registry, PEM (repeatable)", OPT_CA},
    {"import-from", 0, "HOST", "registry that image streams may import from (repeatable)",
     OPT_IMPORT_FROM},
    {"external-hostname", 0, "HOST", "outside name of the cluster's own registry (repeatable)",
     OPT_EXTERNAL_HOSTNAME},
    {"release-image", 0, "REF", "the image the cluster runs, for the node files",
     OPT_RELEASE_IMAGE},
    {"ocp", 0, "VERSION",
     "the cluster's generation, for the node files: 4.6, ... (default current)", OPT_OCP},
    {"strict", 0, NULL, "fail, and write nothing, where there is a warning", OPT_STRICT},
};

struct texts {
    const char **items;
    size_t count, capacity;
};

struct arguments {
    const char *from, *mirror;
    struct icsp_options node;
    struct copy_landing landing; /* of --mirror */
    struct texts allow, block, import, external, cas, with;
    struct icsp_emit_options emit;
    struct emit_output output;
    struct icsp_ca *ca_items; /* owned, with what they point to */
};

static void arguments_release(struct arguments *args)
{
    copy_landing_release(&args->landing);
    free(args->allow.items);
    free(args->block.items);
    free(args->import.items);
    free(args->external.items);
    free(args->with.items);
    for (size_t i = 0; args->ca_items && i < args->cas.count; i++) {
        free(args->ca_items[i].host);
        free(args->ca_items[i].pem);
    }
    free(args->ca_items);
    free(args->cas.items);
}
#define auto_arguments __attribute__((cleanup(arguments_release))) struct arguments

/* ---- options ---- */

static bool add_text(struct texts *texts, const char *text)
{
    mir_grow(&texts->items, texts->count, &texts->capacity, sizeof(*texts->items));
    texts->items[texts->count++] = text;
    return true;
}

static bool set_text(const char **where, const char *text)
{
    *where = text;
    return true;
}

static bool take_kinds(struct cli *cli, const char *value, unsigned *kinds, struct mir_error *err)
{
    static const struct {
        const char *name;
        unsigned flag;
    } names[] = {{"icsp", ICSP_KIND_ICSP}, {"idms", ICSP_KIND_IDMS}, {"itms", ICSP_KIND_ITMS}};
    struct mir_span rest = mir_span_of(value);
    struct mir_span name;

    *kinds = 0;
    while (mir_span_next(&rest, ',', &name)) {
        unsigned flag = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (mir_span_is(name, names[i].name))
                flag = names[i].flag;
        if (flag == 0)
            return cli_usage(cli, err, "--kind %s: \"%.*s\" is none of icsp, idms, itms", value,
                             MIR_SPAN_ARG(name));
        *kinds |= flag;
    }
    return *kinds != 0 || cli_usage(cli, err, "--kind needs one of icsp, idms, itms");
}

static bool take_scope(struct cli *cli, const char *value, enum icsp_scope_level *level,
                       struct mir_error *err)
{
    static const char *const names[] = {
        [ICSP_SCOPE_REPOSITORY] = "repository",
        [ICSP_SCOPE_NAMESPACE] = "namespace",
        [ICSP_SCOPE_REGISTRY] = "registry",
        [ICSP_SCOPE_AUTO] = "auto",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(value, names[i]) == 0) {
            *level = (enum icsp_scope_level)i;
            return true;
        }
    return cli_usage(cli, err, "--scope %s: must be repository, namespace, registry or auto",
                     value);
}

static bool take_depth(const char *value, unsigned *depth, struct mir_error *err)
{
    uint64_t number;

    if (!cli_number("max-depth", value, 1, MAX_DEPTH_LIMIT, &number, err))
        return false;
    *depth = (unsigned)number;
    return true;
}

/* What goes into the Image. */
static bool take_image_option(struct arguments *args, int id, const char *value,
                              struct mir_error *err)
{
    switch (id) {
    case OPT_INSECURE:
        return cli_bool("insecure", value, &args->emit.insecure, err);
    case OPT_ALLOW_ONLY:
        return cli_bool("allow-only", value, &args->emit.allow_only, err);
    case OPT_BLOCK_SOURCE:
        return cli_bool("block-source", value, &args->emit.block_source, err);
    case OPT_ALLOW:
        return add_text(&args->allow, value);
    case OPT_BLOCK:
        return add_text(&args->block, value);
    case OPT_CA:
        return add_text(&args->cas, value);
    case OPT_IMPORT_FROM:
        return add_text(&args->import, value);
    default:
        return add_text(&args->external, value);
    }
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    switch (id) {
    case OPT_FROM:
        return set_text(&args->from, value);
    case OPT_MIRROR:
        return set_text(&args->mirror, value);
    case OPT_KIND:
        return take_kinds(cli, value, &args->emit.kinds, err);
    case OPT_SCOPE:
        return take_scope(cli, value, &args->emit.level, err);
    case OPT_WITH:
        return add_text(&args->with, value);
    case OPT_NAME:
        return set_text(&args->emit.name, value);
    case OPT_OUTPUT_DIR:
        return set_text(&args->output.dir, value);
    case OPT_ONLY:
        return set_text(&args->output.only, value);
    case OPT_KEEP_HOST:
        return cli_bool("keep-host", value, &args->landing.keep_host, err);
    case OPT_MAX_DEPTH:
        return take_depth(value, &args->landing.max_depth, err);
    case OPT_RELEASE_IMAGE:
        return set_text(&args->node.release_image, value);
    case OPT_OCP:
        return emit_take_generation(cli, value, &args->node.generation, err);
    case OPT_STRICT:
        return cli_bool("strict", value, &args->output.strict, err);
    case CLI_POSITIONAL:
        return cli_usage(cli, err, "emit-icsp takes options only, not \"%s\"", value);
    default:
        return take_image_option(args, id, value, err);
    }
}

static bool check_arguments(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    if (!args->from)
        return cli_usage(cli, err, "--from is needed: a bundle, a mapping or a report");
    if (args->output.dir && args->output.only)
        return cli_usage(cli, err, "--only prints one file, --output-dir writes all");
    if ((args->emit.allow_only || args->allow.count > 0) &&
        (args->emit.block_source || args->block.count > 0))
        return cli_usage(cli, err,
                         "allowed and blocked registries exclude each other: a cluster rejects an "
                         "Image with both");
    return true;
}

static bool claim_stdin(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    if (strcmp(args->from, "-") == 0 && !cli_claim_stdin(cli, "--from -", err))
        return false;
    for (size_t i = 0; i < args->with.count; i++)
        if (strcmp(args->with.items[i], "-") == 0 && !cli_claim_stdin(cli, "--with -", err))
            return false;
    return true;
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (!check_arguments(cli, args, err) || !claim_stdin(cli, args, err))
        return false;
    if (args->mirror && !copy_landing_parse_prefix(args->mirror, &args->landing, err))
        return mir_context(err, "--mirror");
    return true;
}

/* --ca HOST=FILE: a host has no '='. */
static bool read_cas(struct cli *cli, struct arguments *args, struct mir_error *err)
{
    args->ca_items = mir_alloc_array(args->cas.count, sizeof(*args->ca_items));
    for (size_t i = 0; i < args->cas.count; i++) {
        const char *text = args->cas.items[i];
        const char *equals = strchr(text, '=');
        char *pem;
        size_t len;

        if (!equals || equals == text || !equals[1])
            return cli_usage(cli, err, "--ca %s: write HOST[:PORT]=FILE", text);
        if (!mir_file_read(equals + 1, CA_BYTES_MAX, &pem, &len, err))
            return mir_context(err, "--ca");
        args->ca_items[i] =
            (struct icsp_ca){.host = mir_strndup(text, (size_t)(equals - text)), .pem = pem};
    }
    args->emit.cas = args->ca_items;
    args->emit.ca_count = args->cas.count;
    return true;
}

/* ---- where images are ---- */

/* Below --mirror, by the rule of a copy. */
static bool add_landed(const struct arguments *args, const struct img_ref *source,
                       struct emit_mapping *mapping, struct mir_error *err)
{
    auto_ref mirror = {0};

    if (!args->mirror) {
        (void)mir_fail(err, MIR_E_USAGE, "--mirror is needed: it is not known where %s/%s will be",
                       source->host, source->repo);
        return mir_hint(err, "name the registry the bundle is copied into");
    }
    if (!copy_landing_of(&args->landing, source, &mirror, err))
        return false;
    emit_mapping_add(mapping, source, &mirror);
    return true;
}

static bool is_below(const char *repo, const char *prefix)
{
    size_t len = strlen(prefix);

    return len == 0 || (strncmp(repo, prefix, len) == 0 && (repo[len] == '/' || repo[len] == '\0'));
}

/* Where the copy put it; --mirror may give the registry another name. Its prefix may be said again,
 * but changes nothing. */
static bool add_placed(struct cli *cli, const struct arguments *args, const struct img_ref *source,
                       const char *destination, struct emit_mapping *mapping, struct mir_error *err)
{
    auto_ref mirror = {0};

    if (!img_ref_parse(mir_span_of(destination), &mirror, err))
        return false;
    if (!mirror.tag && !mirror.has_digest)
        mirror.tag = mir_strdup(source->tag);
    if (args->mirror && !is_below(mirror.repo, args->landing.path))
        return cli_usage(cli, err,
                         "--mirror %s: the mapping has put %s/%s elsewhere, into %s; name the host "
                         "alone",
                         args->mirror, source->host, source->repo, mirror.repo);
    if (args->mirror) {
        free(mirror.host);
        mirror.host = mir_strdup(args->landing.host);
    }
    emit_mapping_add(mapping, source, &mirror);
    return true;
}

static const char *without_transport(const char *text)
{
    return mir_starts_with(text, TRANSPORT) ? text + strlen(TRANSPORT) : text;
}

static bool is_layout(const char *text)
{
    return mir_starts_with(text, "bundle:") || mir_starts_with(text, "oci-archive:") ||
           mir_starts_with(text, "oci:");
}

/* One line of a mapping or one image of a report. A plain list of images, and a copy into a bundle,
 * do not say where the images will be: --mirror does. */
static bool add_pair(struct cli *cli, const struct arguments *args, const char *source_text,
                     const char *destination, struct emit_mapping *mapping, struct mir_error *err)
{
    auto_ref source = {0};

    if (!img_ref_parse(mir_span_of(without_transport(source_text)), &source, err))
        return false;
    if (!destination || is_layout(destination))
        return add_landed(args, &source, mapping, err);
    return add_placed(cli, args, &source, without_transport(destination), mapping, err);
}

/* ---- the three kinds of --from ---- */

static bool map_bundle(struct cli *cli, const struct arguments *args,
                       const struct bundle_reader *reader, struct emit_mapping *mapping,
                       struct mir_error *err)
{
    for (size_t i = 0; i < bundle_reader_image_count(reader); i++) {
        const char *name = bundle_reader_image(reader, i)->name;
        struct mir_error why = MIR_ERROR_INIT;
        auto_ref source = {0};

        if (!name || !img_ref_parse(mir_span_of(name), &source, &why)) {
            mir_log(&cli->sink, MIR_LEVEL_WARN,
                    "image %zu of the bundle is left out: its name \"%s\" is no full reference", i,
                    name ? name : "");
            continue;
        }
        if (!add_landed(args, &source, mapping, err))
            return false;
    }
    return true;
}

static bool from_bundle(struct cli *cli, const struct arguments *args, struct emit_mapping *mapping,
                        struct mir_error *err)
{
    auto_place place = {.text = NULL};
    struct bundle_reader *reader = NULL;
    bool ok;

    if (!copy_place_parse(mir_span_of(args->from), false, &place, err))
        return false;
    if (place.ref)
        return cli_usage(cli, err, "--from takes a whole bundle, not only \"%s\" of it", place.ref);
    if (!bundle_reader_open(place.path, place.form, &reader, err))
        return false;
    ok = map_bundle(cli, args, reader, mapping, err);
    bundle_reader_close(reader);
    return ok;
}

static bool from_mapping(struct cli *cli, const struct arguments *args, struct mir_span text,
                         struct emit_mapping *mapping, struct mir_error *err)
{
    struct copy_list list = {0};
    bool ok = copy_list_parse(text, args->from, &list, err);

    for (size_t i = 0; ok && i < list.count; i++) {
        const struct copy_list_item *item = &list.items[i];

        ok = add_pair(cli, args, item->source, item->destination, mapping, err);
        if (!ok)
            (void)mir_context(err, "%s:%u", args->from, item->line);
    }
    copy_list_release(&list);
    return ok;
}

static bool map_image(struct cli *cli, const struct arguments *args, const json_t *image, size_t i,
                      struct emit_mapping *mapping, struct mir_error *err)
{
    const char *source = json_string_value(json_object_get(image, "image"));
    const char *destination = json_string_value(json_object_get(image, "destination"));
    const char *outcome = json_string_value(json_object_get(image, "outcome"));

    if (!source)
        source = json_string_value(json_object_get(image, "source"));
    if (!source || !destination || !outcome)
        return mir_fail(err, MIR_E_FORMAT,
                        "%s: images[%zu] has no source, destination or outcome: not a report of "
                        "mirror copy",
                        args->from, i);
    if (strcmp(outcome, "failed") == 0) {
        mir_log(&cli->sink, MIR_LEVEL_WARN, "%s is left out: its copy failed", source);
        return true;
    }
    return add_pair(cli, args, source, destination, mapping, err) ||
           mir_context(err, "%s: images[%zu]", args->from, i);
}

static bool from_report(struct cli *cli, const struct arguments *args, struct mir_span text,
                        struct emit_mapping *mapping, struct mir_error *err)
{
    auto_json *report = NULL;
    const json_t *images;
    const json_t *image;
    size_t i;

    if (!mir_json_parse(text, args->from, &report, err))
        return false;
    images = json_object_get(report, "images");
    if (!json_is_array(images))
        return mir_fail(err, MIR_E_FORMAT, "%s: no list \"images\": not a report of mirror copy",
                        args->from);
    json_array_foreach (images, i, image)
        if (!map_image(cli, args, image, i, mapping, err))
            return false;
    return true;
}

static bool read_mapping(struct cli *cli, const struct arguments *args,
                         struct emit_mapping *mapping, struct mir_error *err)
{
    auto_free char *text = NULL;
    struct mir_span trimmed;
    size_t len;

    if (is_layout(args->from))
        return from_bundle(cli, args, mapping, err);
    if (!mir_file_read(args->from, COPY_LIST_BYTES_MAX, &text, &len, err))
        return false;
    trimmed = mir_span_trim(mir_span(text, len));
    if (trimmed.len > 0 && trimmed.ptr[0] == '{')
        return from_report(cli, args, mir_span(text, len), mapping, err);
    return from_mapping(cli, args, mir_span(text, len), mapping, err);
}

/* ---- the command ---- */

static struct icsp_texts borrow(const struct texts *texts)
{
    return (struct icsp_texts){.items = texts->items, .count = texts->count};
}

static bool run(struct cli *cli, struct mir_error *err)
{
    auto_arguments args = {.emit.kinds = ICSP_KIND_ICSP};
    auto_mapping mapping = {0};
    struct icsp_texts with;
    bool go;

    if (!read_arguments(cli, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (!read_cas(cli, &args, err) || !read_mapping(cli, &args, &mapping, err))
        return false;
    if (mapping.count == 0)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s names no image", args.from);
    args.emit.allow = borrow(&args.allow);
    args.emit.block = borrow(&args.block);
    args.emit.import = borrow(&args.import);
    args.emit.external = borrow(&args.external);
    with = borrow(&args.with);
    return emit_objects(cli, &mapping, &args.emit, &with, &args.node, &args.output, err);
}

const struct cli_command cli_emit_icsp = {
    .name = "emit-icsp",
    .synopsis = "[flags] --from bundle:FILE|MAPPING|REPORT --mirror HOST",
    .summary = "write the cluster objects and node files that make a cluster use a mirror",
    .help = "Write the objects that tell an OpenShift or OKD cluster where its images are\n"
            "mirrored, and the files that these objects put on every node.\n"
            "\n"
            "Images of a bundle or a list are where \"mirror copy ... docker://HOST/\" puts\n"
            "them. A mapping (SOURCE=DESTINATION lines) or a report says itself where they\n"
            "are; --mirror then only gives the registry another name.\n"
            "\n"
            "ImageContentSourcePolicy (icsp) and ImageDigestMirrorSet (idms) serve pulls by\n"
            "digest, ImageTagMirrorSet (itms) pulls by tag. A scope broader than a repository\n"
            "is used only where every image is found through it; others keep their own. With\n"
            "--scope auto, or with objects of the cluster, that is proved by compiling all of\n"
            "them together and looking every image up.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
