/*
 * mirror check: does every image a cluster will ask for resolve to a place that has it?
 */
#include "check/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/options.h"
#include "cli/view.h"
#include "icsp/trap.h"

enum {
    OPT_IMAGES = 1,
    OPT_DEPTH,
    OPT_SOURCE_REACHABLE,
    OPT_ASSUME_SIGNED,
    OPT_PLATFORM,
    OPT_JOBS,
    OPT_JSON,
};

#define JOBS_MAX 128

static const struct cli_option options[] = {
    {"images", 0, "WHAT",
     "the images: bundle:FILE, oci:DIR, a list, a mapping or a report of mirror copy (repeatable)",
     OPT_IMAGES},
    CLI_VIEW_OPTIONS,
    {"depth", 0, "WHAT", "what a place has to have: manifest, config or blobs (default)",
     OPT_DEPTH},
    {"source-reachable", 0, NULL, "nodes reach the sources too, so that they count as places",
     OPT_SOURCE_REACHABLE},
    {"assume-signed", 0, NULL, "pass images whose policy asks for a signature, without looking",
     OPT_ASSUME_SIGNED},
    {"platform", 0, "OS/ARCH", "what an index has to have (repeatable; default: all it lists)",
     OPT_PLATFORM},
    {"jobs", 'j', "N", "requests at a time, at most (default 32)", OPT_JOBS},
    {"json", 0, NULL, "print JSON, one object a line for each image", OPT_JSON},
    CLI_READ_OPTIONS,
};

struct arguments {
    struct cli_access access;
    struct cli_view_args view;
    struct cli_images images;
    const char **lists;
    size_t list_count, list_capacity;
    struct img_platform *platforms;
    size_t platform_count, platform_capacity;
    enum check_depth depth;
    uint64_t jobs;
    bool source_reachable, assume_signed, json;
};

static void arguments_release(struct arguments *args)
{
    cli_access_release(&args->access);
    cli_view_args_release(&args->view);
    cli_images_release(&args->images);
    free(args->lists);
    free(args->platforms);
}

static bool take_depth(struct cli *cli, const char *value, enum check_depth *out,
                       struct mir_error *err)
{
    static const char *const names[] = {[CHECK_DEPTH_MANIFEST] = "manifest",
                                        [CHECK_DEPTH_CONFIG] = "config",
                                        [CHECK_DEPTH_BLOBS] = "blobs"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], value) != 0)
            continue;
        *out = (enum check_depth)i;
        return true;
    }
    return cli_usage(cli, err, "--depth %.50s: it is manifest, config or blobs", value);
}

static bool take_platform(struct arguments *args, const char *value, struct mir_error *err)
{
    mir_grow(&args->platforms, args->platform_count, &args->platform_capacity,
             sizeof(*args->platforms));
    if (!img_platform_parse(mir_span_of(value), &args->platforms[args->platform_count], err)) {
        err->code = MIR_E_USAGE;
        return mir_context(err, "--platform");
    }
    args->platform_count++;
    return true;
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    switch (id) {
    case CLI_POSITIONAL:
        cli_images_add(&args->images,
                       mir_starts_with(value, "docker://") ? value + strlen("docker://") : value);
        return true;
    case OPT_IMAGES:
        mir_grow(&args->lists, args->list_count, &args->list_capacity, sizeof(*args->lists));
        args->lists[args->list_count++] = value;
        return true;
    case OPT_DEPTH:
        return take_depth(cli, value, &args->depth, err);
    case OPT_SOURCE_REACHABLE:
        return cli_bool("source-reachable", value, &args->source_reachable, err);
    case OPT_ASSUME_SIGNED:
        return cli_bool("assume-signed", value, &args->assume_signed, err);
    case OPT_PLATFORM:
        return take_platform(args, value, err);
    case OPT_JOBS:
        return cli_number("jobs", value, 1, JOBS_MAX, &args->jobs, err);
    case OPT_JSON:
        return cli_bool("json", value, &args->json, err);
    default:
        break;
    }
    if (cli_view_is_option(id))
        return cli_view_take(cli, &args->view, id, value, err);
    return cli_access_take(cli, &args->access, id, value, err);
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (args->images.count == 0 && args->list_count == 0)
        return cli_usage(cli, err, "name images, or what holds some with --images");
    for (size_t i = 0; i < args->list_count; i++)
        if (!cli_images_read(cli, args->lists[i], &args->images, err))
            return false;
    return args->images.count > 0 || mir_fail(err, MIR_E_NOT_FOUND, "there is no image to check");
}

/* ---- what the files say ---- */

struct subject {
    const char *image;
    struct icsp_route route;
    const char *trap; /* "" where the files alone say nothing against it */
    struct mir_error why;
    size_t *asked; /* the places of the route that are asked, by their indexes */
    size_t asked_count;
    size_t number; /* in the check; of those that are asked */
};

static void subjects_free(struct subject *subjects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        icsp_route_release(&subjects[i].route);
        free(subjects[i].asked);
    }
    free(subjects);
}

static void diagnose(const struct arguments *args, const struct icsp_lookup *lookup,
                     struct subject *s)
{
    struct mir_span image = mir_span_of(s->image);
    struct icsp_judgement judgement;
    enum icsp_trap trap;

    s->trap = "reference";
    if (!icsp_lookup_find(lookup, image, &s->route, &s->why) ||
        !icsp_lookup_judge_image(lookup, image, &judgement, &s->why))
        return;
    trap = icsp_trap_of_judgement(&judgement, &s->why);
    if (trap == ICSP_TRAP_NONE || (trap == ICSP_TRAP_SIGNATURE && args->assume_signed))
        trap = icsp_trap_of_route(lookup, &s->route, args->source_reachable, &s->why);
    s->trap = icsp_trap_name(trap);
}

static bool is_asked(const struct arguments *args, const struct subject *s, size_t place)
{
    const struct icsp_lookup_place *at = &s->route.places[place];

    return !at->blocked && (args->source_reachable || !icsp_place_is_source(&s->route, at));
}

/* ---- asking ---- */

/* One place less is no harm where a reference cannot be asked for: the next one may do. */
static void add_subject(const struct arguments *args, struct check *check, struct subject *s,
                        size_t number)
{
    size_t count = s->route.place_count;
    auto_free struct img_ref *refs = mir_alloc_array(count + 1, sizeof(*refs));
    auto_free struct check_place *places = mir_alloc_array(count + 1, sizeof(*places));

    s->asked = mir_alloc_array(count + 1, sizeof(*s->asked));
    s->number = number;
    for (size_t i = 0; i < count; i++) {
        struct img_ref *ref = &refs[s->asked_count];

        if (!is_asked(args, s, i) ||
            !img_ref_parse(mir_span_of(s->route.places[i].reference), ref, &s->why))
            continue;
        places[s->asked_count] =
            (struct check_place){.ref = ref, .insecure = s->route.places[i].insecure};
        s->asked[s->asked_count++] = i;
    }
    check_add(check, places, s->asked_count);
    for (size_t i = 0; i < s->asked_count; i++)
        img_ref_release(&refs[i]);
}

/* ---- saying what came of it ---- */

/* How one image ended. */
struct outcome {
    const char *place; /* that serves it, or would if it had all; NULL: none */
    const char *trap;  /* "": it resolves */
    const struct mir_error *why;
    const struct check_try *tries; /* of the places asked; NULL: none was */
};

static struct outcome outcome_of(const struct check *check, const struct subject *s)
{
    struct outcome outcome = {.trap = s->trap, .why = &s->why};
    const struct check_try *decides;
    struct check_result result;

    if (s->trap[0] != '\0' || s->asked_count == 0)
        return outcome;
    check_get_result(check, s->number, &result);
    outcome.tries = result.tries;
    /* Without any place it is the last one's error that a runtime shows. */
    decides = &result.tries[s->asked_count - 1];
    if (result.served_by < s->asked_count) {
        outcome.place = s->route.places[s->asked[result.served_by]].reference;
        decides = &result.tries[result.served_by];
    }
    outcome.trap = decides->error ? check_fault_name(decides->fault) : "";
    outcome.why = decides->error;
    return outcome;
}

static void print_tries(const struct subject *s, const struct outcome *outcome)
{
    for (size_t i = 0; outcome->tries && i < s->asked_count; i++)
        if (outcome->tries[i].error && outcome->tries[i].error != outcome->why)
            (void)printf("        before that, at %s: %s\n", s->route.places[s->asked[i]].reference,
                         outcome->tries[i].error->text);
}

static void print_text(const struct subject *s, const struct outcome *outcome)
{
    if (outcome->trap[0] == '\0') {
        (void)printf("ok      %s from %s\n", s->image, outcome->place);
        return;
    }
    (void)printf("FAILED  %s [%s]: %s\n", s->image, outcome->trap, outcome->why->text);
    if (outcome->why->hint[0] != '\0')
        (void)printf("        hint: %s\n", outcome->why->hint);
    print_tries(s, outcome);
}

static json_t *tries_json(const struct subject *s, const struct outcome *outcome)
{
    json_t *list = json_array();

    for (size_t i = 0; outcome->tries && i < s->asked_count; i++) {
        const struct check_try *attempt = &outcome->tries[i];

        if (attempt->is_asked)
            (void)json_array_append_new(list,
                                        json_pack("{s:s, s:s, s:s*}", "reference",
                                                  s->route.places[s->asked[i]].reference, "result",
                                                  check_fault_name(attempt->fault), "error",
                                                  attempt->error ? attempt->error->text : NULL));
    }
    return list;
}

static bool print_json(const struct subject *s, const struct outcome *outcome,
                       struct mir_error *err)
{
    bool ok = outcome->trap[0] == '\0';
    auto_json *row = json_pack("{s:s, s:b, s:s*, s:s*, s:s*, s:s*, s:o}", "image", s->image, "ok",
                               ok, "place", outcome->place, "trap", ok ? NULL : outcome->trap,
                               "error", ok ? NULL : outcome->why->text, "hint",
                               ok || outcome->why->hint[0] == '\0' ? NULL : outcome->why->hint,
                               "asked", tries_json(s, outcome));
    auto_free char *line = row ? json_dumps(row, JSON_COMPACT) : NULL;

    if (!line)
        return mir_fail(err, MIR_E_USAGE, "\"%s\" is no UTF-8", s->image);
    (void)printf("%s\n", line);
    return true;
}

static bool report(struct cli *cli, const struct arguments *args, const struct check *check,
                   const struct subject *subjects, struct mir_error *err)
{
    size_t count = args->images.count, failed = 0;

    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = outcome_of(check, &subjects[i]);

        failed += outcome.trap[0] == '\0' ? 0 : 1;
        if (!args->json)
            print_text(&subjects[i], &outcome);
        else if (!print_json(&subjects[i], &outcome, err))
            return false;
    }
    mir_log(&cli->sink, MIR_LEVEL_INFO, "%zu image%s: %zu resolve, %zu do not; %llu requests",
            count, count == 1 ? "" : "s", count - failed, failed,
            (unsigned long long)check_requests(check));
    return failed == 0 ||
           mir_fail(err, MIR_E_NOT_FOUND, "%zu of %zu images cannot be pulled", failed, count);
}

/* ---- the command ---- */

static bool ask(struct cli *cli, const struct arguments *args, const struct icsp_lookup *lookup,
                struct check *check, struct mir_error *err)
{
    size_t count = args->images.count, number = 0;
    struct subject *subjects = mir_alloc_array(count, sizeof(*subjects));
    bool ok;

    for (size_t i = 0; i < count; i++) {
        subjects[i].image = args->images.names[i];
        diagnose(args, lookup, &subjects[i]);
        if (subjects[i].trap[0] == '\0')
            add_subject(args, check, &subjects[i], number++);
    }
    ok = check_run(check, err) && report(cli, args, check, subjects, err);
    subjects_free(subjects, count);
    return ok;
}

static bool open_view(struct cli *cli, const struct arguments *args, struct cli_view *view,
                      struct mir_error *err)
{
    if (!cli_view_open(cli, &args->view, view, err))
        return false;
    if (view->registries_trouble.code == MIR_OK && view->policy_trouble.code == MIR_OK)
        return true;
    *err =
        view->registries_trouble.code != MIR_OK ? view->registries_trouble : view->policy_trouble;
    return mir_context(err, "no image can be pulled");
}

static bool check_images(struct cli *cli, struct arguments *args, struct mir_error *err)
{
    struct check_options how = {.platforms = args->platforms,
                                .platform_count = args->platform_count,
                                .depth = args->depth,
                                .jobs = (unsigned)args->jobs,
                                .cancel = cli->cancel,
                                .sink = &cli->sink};
    auto_view view = {0};
    struct check *check = NULL;
    bool ok;

    if (!open_view(cli, args, &view, err) ||
        !cli_access_sides(cli, &args->access, &how.registry, NULL, err))
        return false;
    /* A node makes no exception for loopback. */
    if (how.registry.tls == REG_TLS_DEFAULT)
        how.registry.tls = REG_TLS_NODE;
    if (!check_new(&how, &check, err))
        return false;
    ok = ask(cli, args, view.lookup, check, err);
    check_free(check);
    return ok;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    __attribute__((cleanup(arguments_release))) struct arguments args = {.depth =
                                                                             CHECK_DEPTH_BLOBS};
    bool go;

    cli_access_init(&args.access);
    if (!read_arguments(cli, &args, &go, err) || !go)
        return err->code == MIR_OK;
    return check_images(cli, &args, err);
}

const struct cli_command cli_check = {
    .name = "check",
    .synopsis = "[flags] [--images WHAT] [IMAGE...]",
    .summary = "show, before a node boots, that every image can be pulled",
    .help = "Look up every image as a node's runtime would, and ask the places it would ask\n"
            "whether they have it, whole. Nothing but manifests is fetched. Exit status 0\n"
            "only when every image can be pulled; else it is said which trap keeps it from\n"
            "that. Sources do not count, unless nodes reach them.\n"
            "\n"
            "The node's files are given (what is not given counts as absent), or compiled\n"
            "from the objects of its cluster. Without either they are those that this\n"
            "machine's runtime reads.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
