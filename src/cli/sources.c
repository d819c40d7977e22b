/*
 * Between a copy, which knows images and registries, and icsp/lookup.h, which knows what this
 * machine's registries.conf and policy.json say. Everything that is decided is decided there; here
 * it gets words.
 */
#include "cli/sources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

/* ---- options ---- */

bool cli_sources_is_option(int id)
{
    return id >= CLI_OPT_REGISTRIES_CONF && id <= CLI_OPT_INSECURE_POLICY;
}

bool cli_sources_take(struct cli_sources *sources, int id, const char *value, struct mir_error *err)
{
    switch ((enum cli_sources_option)id) {
    case CLI_OPT_REGISTRIES_CONF:
        sources->registries_conf = value;
        return true;
    case CLI_OPT_REGISTRIES_CONF_DIR:
        sources->registries_conf_dir = value;
        return true;
    case CLI_OPT_NO_REGISTRIES_CONF:
        return cli_bool("no-registries-conf", value, &sources->no_registries_conf, err);
    case CLI_OPT_POLICY:
        sources->policy = value;
        return true;
    case CLI_OPT_INSECURE_POLICY:
        return cli_bool("insecure-policy", value, &sources->insecure_policy, err);
    }
    return true;
}

void cli_sources_release(struct cli_sources *sources)
{
    icsp_lookup_free(sources->lookup);
    sources->lookup = NULL;
}

/* ---- reading ---- */

static struct icsp_lookup *lookup_of(struct cli_sources *sources)
{
    if (!sources->lookup)
        sources->lookup = icsp_lookup_new();
    return sources->lookup;
}

bool cli_sources_read_registries(struct cli_sources *sources, struct mir_error *err)
{
    if (sources->no_registries_conf && sources->registries_conf)
        return mir_fail(err, MIR_E_USAGE, "--registries-conf is given and refused");
    if (sources->no_registries_conf ||
        icsp_lookup_load_registries(lookup_of(sources), sources->registries_conf,
                                    sources->registries_conf_dir, err))
        return true;
    err->code = MIR_E_USAGE;
    (void)mir_context(err, "registries.conf");
    return mir_hint(err, "mend the file, name another one with --registries-conf, or do without: "
                         "--no-registries-conf");
}

bool cli_sources_read_policy(struct cli_sources *sources, struct mir_error *err)
{
    if (sources->insecure_policy && sources->policy)
        return mir_fail(err, MIR_E_USAGE, "--policy is given and refused by --insecure-policy");
    if (sources->insecure_policy ||
        icsp_lookup_load_policy(lookup_of(sources), sources->policy, err))
        return true;
    err->code = MIR_E_USAGE;
    (void)mir_context(err, "policy.json");
    return mir_hint(err, "mend the file, name another one with --policy, or do without: "
                         "--insecure-policy");
}

void cli_sources_set_helpers(const struct cli_sources *sources, struct reg_options *side)
{
    if (sources->lookup)
        side->helpers = icsp_lookup_helpers(sources->lookup, &side->helper_count);
}

/* ---- may it be copied? ---- */

/* The path without links; a name that is only the beginning of volumes' names counts too. */
static char *explicit_path(const char *path)
{
    auto_free char *whole = realpath(path, NULL);
    auto_free char *parent = NULL;
    auto_free char *folder = NULL;
    const char *slash = strrchr(path, '/');

    if (whole)
        return mir_strdup(whole);
    parent = slash ? mir_strndup(path, (size_t)(slash - path) + 1) : mir_strdup(".");
    folder = realpath(parent, NULL);
    return mir_format("%s/%s", folder && folder[1] ? folder : "", slash ? slash + 1 : path);
}

static bool is_directory(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Images in files are judged under the names that skopeo has for their transports. */
static void judge_layout(const struct icsp_lookup *lookup, const char *path,
                         struct icsp_judgement *out)
{
    auto_free char *explicit = path ? explicit_path(path) : NULL;
    const char *transport = path && is_directory(path) ? "oci" : "oci-archive";

    icsp_lookup_judge_path(lookup, transport, explicit, out);
}

/* "transport docker, scope q.io/ns", and so on. */
static char *where_of(const struct icsp_judgement *judgement)
{
    if (!judgement->transport)
        return mir_format("the default");
    if (judgement->scope[0] == '\0')
        return mir_format("transport %s, its default", judgement->transport);
    return mir_format("transport %s, scope \"%s\"", judgement->transport, judgement->scope);
}

static bool explain(const struct icsp_judgement *judgement, const char *what, struct mir_error *err)
{
    auto_free char *where = where_of(judgement);

    switch (judgement->verdict) {
    case ICSP_VERDICT_ACCEPT:
        return true;
    case ICSP_VERDICT_REJECT:
        (void)mir_fail(err, MIR_E_CONFLICT, "%s is rejected by %s (%s)", what, judgement->file,
                       where);
        return mir_hint(err, "change that policy, name another with --policy, or copy whatever it "
                             "says with --insecure-policy");
    case ICSP_VERDICT_SIGNATURE:
        (void)mir_fail(err, MIR_E_UNSUPPORTED,
                       "%s needs a signature by %s (%s, %s), and signatures are not verified here",
                       what, judgement->file, where, judgement->requirement);
        return mir_hint(err, "verify it with another program, then use --insecure-policy, or "
                             "--policy with a file that accepts it");
    }
    return true;
}

static bool allow(void *ctx, const struct copy_subject *subject, struct mir_error *err)
{
    const struct cli_sources *sources = ctx;
    struct icsp_judgement judgement;
    auto_free char *name = NULL;

    if (!subject->image) {
        judge_layout(sources->lookup, subject->path, &judgement);
        return explain(&judgement, subject->path ? subject->path : "standard input", err);
    }
    name = img_ref_format(subject->image);
    return icsp_lookup_judge_image(sources->lookup, mir_span_of(name), &judgement, err) &&
           explain(&judgement, name, err);
}

/* ---- where is it? ---- */

static bool blocked(const char *what, const struct icsp_conf_entry *entry, struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_CONFLICT, "%s is blocked by \"%s\" in %s:%u", what, entry->prefix,
                   entry->file, entry->line);
    return mir_hint(err, "take the entry out, give it a mirror that has the image, or pass over "
                         "the file with --no-registries-conf");
}

/* Do two references name one host? */
static bool is_same_host(const char *a, const char *b)
{
    size_t len = strcspn(a, "/");

    return strcspn(b, "/") == len && strncmp(a, b, len) == 0;
}

static void add_site(struct copy_sites *sites, const struct icsp_lookup_place *place,
                     const char *image)
{
    struct copy_site *site = copy_sites_add(sites);

    if (place->blocked) {
        (void)blocked(place->reference, &place->blocked_by, &site->refused);
        return;
    }
    if (!img_ref_parse(mir_span_of(place->reference), &site->ref, &site->refused))
        return;
    site->insecure = place->insecure;
    site->is_elsewhere = !is_same_host(place->reference, image);
}

static bool find(void *ctx, const struct img_ref *image, struct copy_sites *out,
                 struct mir_error *err)
{
    const struct cli_sources *sources = ctx;
    auto_free char *name = img_ref_format(image);
    auto_route route = {0};

    if (!icsp_lookup_find(sources->lookup, mir_span_of(name), &route, err))
        return false;
    if (route.trouble.code != MIR_OK) {
        *err = route.trouble;
        return mir_context(err, "%s", name);
    }
    for (size_t i = 0; i < route.place_count && route.has_entry; i++)
        add_site(out, &route.places[i], route.image);
    return true;
}

static bool land(void *ctx, const struct img_ref *destination, bool *insecure,
                 struct mir_error *err)
{
    const struct cli_sources *sources = ctx;
    auto_free char *repo = img_ref_format_repo(destination);
    struct icsp_conf_entry entry;

    if (!icsp_lookup_find_entry(sources->lookup, mir_span_of(repo), &entry))
        return true;
    *insecure = entry.insecure;
    return !entry.blocked || blocked(repo, &entry, err);
}

const struct copy_rules *cli_sources_rules(struct cli_sources *sources)
{
    const struct icsp_lookup *lookup = sources->lookup;
    bool has_registries = lookup && icsp_lookup_has_registries(lookup);

    sources->rules = (struct copy_rules){
        .allow = lookup && icsp_lookup_has_policy(lookup) ? allow : NULL,
        .find = has_registries ? find : NULL,
        .land = has_registries ? land : NULL,
        .ctx = sources,
    };
    return &sources->rules;
}

bool cli_sources_look(struct cli_sources *sources, const char *const *places, size_t count,
                      struct copy_options *look, struct mir_error *err)
{
    bool needs = false;

    for (size_t i = 0; i < count; i++)
        needs = needs || mir_starts_with(places[i], "docker://");
    if (needs && !cli_sources_read_registries(sources, err))
        return false;
    look->rules = cli_sources_rules(sources);
    cli_sources_set_helpers(sources, &look->source);
    return true;
}
