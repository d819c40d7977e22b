/*
 * mirror auth explain: why a registry lets us in, or why not.
 */
#include <string.h>

#include "base/mem.h"
#include "base/span.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/sources.h"
#include "image/ref.h"
#include "registry/login.h"

enum {
    OPT_JSON = 1,
    OPT_PULL_ONLY,
};

static const struct cli_option options[] = {
    {"json", 0, NULL, "print JSON", OPT_JSON},
    {"pull-only", 0, NULL, "do not ask whether we may push", OPT_PULL_ONLY},
    CLI_READ_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
};

/* ---- text ---- */

#define LABEL_WIDTH 13

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* The label once, then blanks. */
static void print_label(const char **label)
{
    (void)printf("%-*s", LABEL_WIDTH, *label);
    *label = "";
}

static void print_image(const json_t *told)
{
    const char *reference = text(told, "reference");

    (void)printf("%-*s%s/%s%s%s\n", LABEL_WIDTH, "image", text(told, "host"),
                 text(told, "repository"),
                 reference[0] == '\0'     ? ""
                 : strchr(reference, ':') ? "@"
                                          : ":",
                 reference);
}

static void print_credentials(const json_t *told)
{
    const json_t *credentials = json_object_get(told, "credentials");
    const json_t *place;
    const char *label = "looked at";
    size_t i;

    json_array_foreach (json_object_get(credentials, "lookedAt"), i, place) {
        print_label(&label);
        (void)printf("%s: %s\n", text(place, "place"), text(place, "outcome"));
    }
    label = "credentials";
    print_label(&label);
    if (text(credentials, "error")[0] != '\0')
        (void)printf("none, and no way past the last of these\n");
    else if (!json_is_true(json_object_get(credentials, "found")))
        (void)printf("none: asking as nobody\n");
    else
        (void)printf("%s%s%s, from %s\n", text(credentials, "user"),
                     text(credentials, "user")[0] != '\0' ? ", " : "", text(credentials, "kind"),
                     text(credentials, "from"));
}

static void print_hint(const json_t *part)
{
    if (text(part, "hint")[0] != '\0')
        (void)printf("%-*s%s\n", LABEL_WIDTH, "", text(part, "hint"));
}

static const char *security_of(const json_t *registry)
{
    if (strcmp(text(registry, "scheme"), "http") == 0)
        return "not encrypted";
    return json_is_true(json_object_get(registry, "verified")) ? "its certificate verified"
                                                               : "its certificate not verified";
}

static void print_registry(const json_t *told)
{
    const json_t *registry = json_object_get(told, "registry");
    const char *folder = text(registry, "certificates");

    if (!registry)
        return;
    (void)printf("%-*s", LABEL_WIDTH, "registry");
    if (text(registry, "error")[0] != '\0')
        (void)printf("%s\n", text(registry, "error"));
    else
        (void)printf("%s://%s, %s\n", text(registry, "scheme"), text(registry, "endpoint"),
                     security_of(registry));
    if (folder[0] != '\0')
        (void)printf("%-*scertificates of %s\n", LABEL_WIDTH, "", folder);
    print_hint(registry);
}

static void print_field(const json_t *bearer, const char *name)
{
    if (text(bearer, name)[0] != '\0')
        (void)printf(" %s=\"%s\"", name, text(bearer, name));
}

static void print_nobody(const json_t *told)
{
    const json_t *nobody = json_object_get(told, "asNobody");
    const json_t *bearer = json_object_get(nobody, "bearer");
    json_int_t status = json_integer_value(json_object_get(nobody, "status"));

    if (!nobody)
        return;
    (void)printf("%-*sstatus %d", LABEL_WIDTH, "as nobody", (int)status);
    if (status == 200)
        (void)printf(": open to everybody");
    if (bearer) {
        (void)printf(": Bearer");
        print_field(bearer, "realm");
        print_field(bearer, "service");
        print_field(bearer, "scope");
    }
    if (json_object_get(nobody, "basic"))
        (void)printf("%s Basic", bearer ? ", or" : ":");
    (void)printf("\n");
}

static void print_verdict(const json_t *told, const char *what)
{
    const json_t *verdict = json_object_get(told, what);
    const json_t *exists = json_object_get(verdict, "exists");

    if (!verdict)
        return;
    (void)printf("%-*s", LABEL_WIDTH, what);
    if (!json_is_true(json_object_get(verdict, "allowed")))
        (void)printf("no: %s\n", text(verdict, "error"));
    else if (json_is_false(exists))
        (void)printf("yes, but there is nothing of that name\n");
    else if (json_is_false(json_object_get(verdict, "takenBack")))
        (void)printf("yes (an upload was begun and could not be taken back; the registry "
                     "drops it in time)\n");
    else
        (void)printf("yes%s%s\n", text(verdict, "digest")[0] ? ": " : "", text(verdict, "digest"));
    print_hint(verdict);
}

static void print_places(const json_t *told)
{
    const json_t *conf = json_object_get(told, "registriesConf");
    const json_t *place;
    const char *label = "places";
    size_t i;

    json_array_foreach (json_object_get(conf, "places"), i, place) {
        print_label(&label);
        (void)printf("%s%s%s\n", text(place, "reference"),
                     json_is_true(json_object_get(place, "insecure")) ? ", insecure" : "",
                     json_is_true(json_object_get(place, "blocked")) ? ", blocked" : "");
    }
    if (conf)
        (void)printf("%-*sin this order, as \"%s\" in %s:%d says; what follows is about %s alone\n",
                     LABEL_WIDTH, label, text(conf, "prefix"), text(conf, "file"),
                     (int)json_integer_value(json_object_get(conf, "line")), text(told, "host"));
}

static void print_text(const json_t *told)
{
    const json_t *line;
    const char *label = "advice";
    size_t i;

    print_image(told);
    print_places(told);
    print_credentials(told);
    print_registry(told);
    print_nobody(told);
    print_verdict(told, "pull");
    print_verdict(told, "push");
    json_array_foreach (json_object_get(told, "advice"), i, line) {
        print_label(&label);
        (void)printf("%s\n", json_string_value(line));
    }
}

/* ---- the command ---- */

struct arguments {
    struct cli_access access;
    struct cli_sources machine;
    const char *verb, *image;
    bool json, pull_only;
};

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    if (id == OPT_JSON)
        return cli_bool("json", value, &args->json, err);
    if (id == OPT_PULL_ONLY)
        return cli_bool("pull-only", value, &args->pull_only, err);
    if (cli_sources_is_option(id))
        return cli_sources_take(&args->machine, id, value, err);
    if (id != CLI_POSITIONAL)
        return cli_access_take(cli, &args->access, id, value, err);
    if (!args->verb)
        args->verb = value;
    else if (!args->image)
        args->image = value;
    else
        return cli_usage(cli, err, "one image at a time");
    return true;
}

static bool read_image(struct cli *cli, const struct arguments *args, struct img_ref *out,
                       struct mir_error *err)
{
    struct mir_span name = mir_span_of(args->image);

    if (!args->verb || strcmp(args->verb, "explain") != 0)
        return cli_usage(cli, err, "say what to do: mirror auth explain IMAGE");
    if (!args->image)
        return cli_usage(cli, err, "name an image: docker://HOST/REPO[:TAG][@DIGEST]");
    if (mir_starts_with(args->image, "docker://"))
        name = mir_span_from(name, strlen("docker://"));
    if (img_ref_parse(name, out, err))
        return true;
    err->code = MIR_E_USAGE;
    return false;
}

/* ---- what registries.conf says ---- */

static void add_place(json_t *places, const struct icsp_lookup_place *place)
{
    json_t *entry = json_object();

    (void)json_object_set_new(entry, "reference", json_string(place->reference));
    (void)json_object_set_new(entry, "insecure", json_boolean(place->insecure));
    (void)json_object_set_new(entry, "blocked", json_boolean(place->blocked));
    (void)json_array_append_new(places, entry);
}

/* Where a copy would look for the image; an empty object where nothing is said of it. */
static bool read_places(const struct icsp_lookup *lookup, const struct img_ref *ref, json_t *out,
                        bool *insecure, struct mir_error *err)
{
    auto_free char *name = img_ref_format(ref);
    auto_route route = {0};
    json_t *places;

    if (!lookup)
        return true;
    if (!icsp_lookup_find(lookup, mir_span_of(name), &route, err))
        return false;
    if (!route.has_entry)
        return true;
    *insecure = route.entry.insecure;
    places = json_array();
    (void)json_object_set_new(out, "file", json_string(route.entry.file));
    (void)json_object_set_new(out, "line", json_integer(route.entry.line));
    (void)json_object_set_new(out, "prefix", json_string(route.entry.prefix));
    (void)json_object_set_new(out, "places", places);
    for (size_t i = 0; i < route.place_count; i++)
        add_place(places, &route.places[i]);
    return true;
}

/* ---- going in ---- */

static bool go_in(struct cli *cli, struct arguments *args, const struct img_ref *ref, json_t **told,
                  struct mir_error *refusal, struct mir_error *err)
{
    auto_json *conf = json_object();
    struct reg_repo repo = {.host = ref->host, .name = ref->repo};
    struct reg_options access;

    if (!cli_access_sides(cli, &args->access, &access, NULL, err) ||
        !cli_sources_read_registries(&args->machine, err) ||
        !read_places(args->machine.lookup, ref, conf, &repo.insecure, err))
        return false;
    access.cancel = cli->cancel;
    access.sink = &cli->sink;
    cli_sources_set_helpers(&args->machine, &access);
    if (!reg_explain(&access, &repo, ref->has_digest ? ref->digest.text : ref->tag,
                     args->pull_only ? REG_EXPLAIN_PULL : REG_EXPLAIN_PUSH, told, refusal, err))
        return false;
    if (json_object_size(conf) > 0)
        (void)json_object_set(*told, "registriesConf", conf);
    return true;
}

static bool explain(struct cli *cli, struct arguments *args, const struct img_ref *ref,
                    struct mir_error *err)
{
    struct mir_error refusal = MIR_ERROR_INIT;
    auto_json *told = NULL;

    if (!go_in(cli, args, ref, &told, &refusal, err))
        return false;
    if (!args->json)
        print_text(told);
    else if (!cli_print_json(told, err))
        return false;
    *err = refusal;
    return refusal.code == MIR_OK;
}

static bool run(struct cli *cli, struct mir_error *err)
{
    struct arguments args = {.json = false};
    auto_ref ref = {0};
    bool go, ok;

    cli_access_init(&args.access);
    ok = cli_read(cli, take_argument, &args, &go, err);
    if (ok && go)
        ok = read_image(cli, &args, &ref, err) && explain(cli, &args, &ref, err);
    cli_access_release(&args.access);
    cli_sources_release(&args.machine);
    return ok;
}

const struct cli_command cli_auth = {
    .name = "auth",
    .synopsis = "explain [flags] IMAGE",
    .summary = "say why a registry lets us in, or why not",
    .help = "Go in as a copy would and tell what happens on the way: which files and keys\n"
            "were looked at and which won, how the registry is spoken to, what it asks of\n"
            "nobody, and whether it lets us pull and push. Passwords are never shown.\n"
            "IMAGE is [docker://]HOST/REPO[:TAG][@DIGEST]. To see whether we may push, an\n"
            "upload is begun and taken back; some registries create a repository by that.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
