/*
 * mirror resolve: where a node asks for an image, in order, and whether its policy lets it in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/view.h"

enum {
    OPT_JSON = 1,
};

static const struct cli_option options[] = {
    CLI_VIEW_OPTIONS,
    {"json", 0, NULL, "print JSON, one object a line for each image", OPT_JSON},
};

struct arguments {
    struct cli_view_args view;
    const char **images;
    size_t count, capacity;
    bool json;
};

static void arguments_release(struct arguments *args)
{
    cli_view_args_release(&args->view);
    free(args->images);
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    if (id == OPT_JSON)
        return cli_bool("json", value, &args->json, err);
    if (id != CLI_POSITIONAL)
        return cli_view_take(cli, &args->view, id, value, err);
    mir_grow(&args->images, args->count, &args->capacity, sizeof(*args->images));
    args->images[args->count++] = value;
    return true;
}

/* ---- what comes of one image ---- */

enum stage {
    STAGE_CONFIG,    /* the runtime refuses the files */
    STAGE_REFERENCE, /* the image is none */
    STAGE_REWRITE,   /* a location makes no reference */
    STAGE_DONE,
};

struct finding {
    const char *image; /* as it was given, without transport */
    enum stage stage;
    struct mir_error why; /* MIR_OK when DONE */
    struct icsp_route route;
    bool is_judged;
    struct icsp_judgement judgement;
};

static void finding_release(struct finding *finding)
{
    icsp_route_release(&finding->route);
}
#define auto_finding __attribute__((cleanup(finding_release))) struct finding

static void look(const struct cli_view *view, const char *image, struct finding *out)
{
    struct mir_span text = mir_span_of(image);

    *out = (struct finding){.image = image, .stage = STAGE_CONFIG};
    if (view->registries_trouble.code != MIR_OK) {
        out->why = view->registries_trouble;
        return;
    }
    out->stage = STAGE_REFERENCE;
    if (!icsp_lookup_find(view->lookup, text, &out->route, &out->why))
        return;
    out->stage = out->route.trouble.code == MIR_OK ? STAGE_DONE : STAGE_REWRITE;
    out->why = out->route.trouble;
    out->is_judged =
        icsp_lookup_has_policy(view->lookup) &&
        icsp_lookup_judge_image(view->lookup, text, &out->judgement, &(struct mir_error){0});
}

/* ---- JSON ---- */

static json_t *places_json(const struct icsp_route *route)
{
    json_t *list = json_array();

    for (size_t i = 0; i < route->place_count; i++)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:b, s:b}", "reference", route->places[i].reference, "insecure",
                            route->places[i].insecure, "blocked", route->places[i].blocked));
    return list;
}

static json_t *finding_json(const struct finding *finding)
{
    static const char *const stages[] = {
        [STAGE_CONFIG] = "config", [STAGE_REFERENCE] = "reference", [STAGE_REWRITE] = "rewrite"};
    json_t *row = json_pack("{s:s}", "image", finding->image);

    if (finding->route.has_entry)
        (void)json_object_set_new(row, "prefix", json_string(finding->route.entry.prefix));
    if (finding->stage == STAGE_DONE)
        (void)json_object_set_new(row, "places", places_json(&finding->route));
    if (finding->is_judged)
        (void)json_object_set_new(row, "policy",
                                  json_string(icsp_verdict_name(finding->judgement.verdict)));
    if (finding->stage != STAGE_DONE)
        (void)json_object_set_new(
            row, "error", json_sprintf("%s: %s", stages[finding->stage], finding->why.text));
    return row;
}

static bool print_json(const struct finding *finding, struct mir_error *err)
{
    auto_json *row = finding_json(finding);
    auto_free char *line = row ? json_dumps(row, JSON_COMPACT) : NULL;

    if (!line)
        return mir_fail(err, MIR_E_USAGE, "\"%s\" is no UTF-8", finding->image);
    (void)printf("%s\n", line);
    return true;
}

/* ---- text ---- */

static void print_entry(const struct icsp_conf_entry *entry)
{
    (void)printf("\"%s\" (%s:%u)", entry->prefix, entry->file, entry->line);
}

static void print_place(const struct icsp_lookup_place *place, size_t number)
{
    (void)printf("  %zu. %s  %s%s", number, place->reference,
                 place->is_mirror ? "mirror" : "the place itself",
                 place->insecure ? ", not verified, http too" : "");
    if (place->blocked) {
        (void)printf(", blocked by ");
        print_entry(&place->blocked_by);
    }
    (void)printf("\n");
}

static void print_route(const struct icsp_route *route)
{
    (void)printf("  entry: ");
    if (route->has_entry)
        print_entry(&route->entry);
    else
        (void)printf("none");
    (void)printf("\n");
    for (size_t i = 0; i < route->place_count; i++)
        print_place(&route->places[i], i + 1);
    for (size_t i = 0; i < route->skipped_count; i++)
        (void)printf("  not asked: %s, which is for pulls by %s\n", route->skipped[i].location,
                     route->skipped[i].digest_only ? "digest" : "tag");
}

static void print_judgement(const struct icsp_judgement *judgement)
{
    (void)printf("  policy: %s, by ", icsp_verdict_name(judgement->verdict));
    if (!judgement->transport)
        (void)printf("the default");
    else if (judgement->scope[0] == '\0')
        (void)printf("the default of %s", judgement->transport);
    else
        (void)printf("%s \"%s\"", judgement->transport, judgement->scope);
    (void)printf(" (%s, %s)\n", judgement->requirement, judgement->file);
}

static void print_text(const struct finding *finding)
{
    const struct icsp_route *route = &finding->route;

    (void)printf("%s\n", finding->image);
    if (route->image && strcmp(route->image, finding->image) != 0)
        (void)printf("  means: %s\n", route->image);
    if (route->image)
        print_route(route);
    if (finding->stage != STAGE_DONE)
        (void)printf("  refused: %s\n", finding->why.text);
    if (finding->is_judged)
        print_judgement(&finding->judgement);
}

/* ---- the command ---- */

static const char *without_transport(const char *image)
{
    return mir_starts_with(image, "docker://") ? image + strlen("docker://") : image;
}

static bool resolve_all(const struct arguments *args, const struct cli_view *view,
                        struct mir_error *err)
{
    size_t failed = 0;

    for (size_t i = 0; i < args->count; i++) {
        auto_finding finding = {0};

        look(view, without_transport(args->images[i]), &finding);
        failed += finding.stage == STAGE_DONE ? 0 : 1;
        if (!args->json)
            print_text(&finding);
        else if (!print_json(&finding, err))
            return false;
    }
    if (view->registries_trouble.code != MIR_OK) {
        *err = view->registries_trouble;
        return false;
    }
    if (view->policy_trouble.code != MIR_OK) {
        *err = view->policy_trouble;
        return false;
    }
    return failed == 0 || mir_fail(err, MIR_E_FORMAT, "%zu of %zu images cannot be asked for",
                                   failed, args->count);
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {0};
    auto_view view = {0};
    bool go;

    if (!cli_read(cli, take_argument, &args, &go, err) || !go)
        return err->code == MIR_OK;
    if (args.count == 0)
        return cli_usage(cli, err, "name an image");
    return cli_view_open(cli, &args.view, &view, err) && resolve_all(&args, &view, err);
}

const struct cli_command cli_resolve = {
    .name = "resolve",
    .synopsis = "[flags] IMAGE...",
    .summary = "show where a node asks for an image, and what its policy says",
    .help = "Show the places where a node's runtime asks for an image, in order, and why:\n"
            "the entry of registries.conf that wins, its mirrors, what is blocked or not\n"
            "verified; then what policy.json says. Nothing is asked of any registry.\n"
            "\n"
            "The node's files are given (what is not given counts as absent), or compiled\n"
            "from the objects of its cluster. Without either they are those that this\n"
            "machine's runtime reads.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
