/*
 * From two states of a node's files to what the cluster does on the way from one to the other. Most
 * paths have a fixed action. registries.conf is compared entry by entry: what only adds places to
 * pull from by digest is safe while pods run, everything else empties the node first.
 *
 * Compared is what the daemon compares: the file as it is written, with the last of several entries
 * for one scope. Nothing is looked up, nothing normalised.
 */
#include "icsp/drain.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/toml.h"
#include "icsp/generation_priv.h"
#include "icsp/registries_priv.h"

#define PATH_REGISTRIES "etc/containers/registries.conf"
#define CAUSE_MAX       1024 /* bytes of the text of one */

void icsp_changes_release(struct icsp_changes *changes)
{
    for (size_t i = 0; i < changes->cause_count; i++) {
        free(changes->causes[i].entry);
        free(changes->causes[i].text);
    }
    free(changes->causes);
    free(changes->items);
    *changes = (struct icsp_changes){0};
}

/* ---- words ---- */

static const char *const action_words[] = {
    [ICSP_ACTION_NOTHING] = "nothing",
    [ICSP_ACTION_RELOAD] = "reload",
    [ICSP_ACTION_DRAIN] = "drain",
    [ICSP_ACTION_REBOOT] = "reboot",
};

const char *icsp_action_word(enum icsp_action action)
{
    return action_words[action];
}

bool icsp_action_parse(const char *word, enum icsp_action *out)
{
    for (size_t i = 0; i < sizeof(action_words) / sizeof(action_words[0]); i++)
        if (strcmp(word, action_words[i]) == 0) {
            *out = (enum icsp_action)i;
            return true;
        }
    return false;
}

/* ---- one registries.conf ---- */

/* Read twice: for what it means, and for where that stands. */
struct conf {
    struct icsp_registries registries;
    struct mir_toml *doc;
    struct mir_map *last; /* scope -> the last entry with it */
};

static void conf_release(struct conf *conf)
{
    icsp_registries_release(&conf->registries);
    mir_toml_free(conf->doc);
    mir_map_free(conf->last);
}
#define auto_conf __attribute__((cleanup(conf_release))) struct conf

/* A file that is not there is one without anything in it. */
static bool conf_read(struct conf *conf, const struct icsp_file *file,
                      const struct icsp_generation *generation, struct mir_error *err)
{
    struct mir_span text = file ? mir_span(file->data, file->len) : mir_span("", 0);
    auto_findings ignored = {0};

    icsp_registries_init(&conf->registries, generation);
    conf->last = mir_map_new();
    if (!icsp_registries_read(&conf->registries, text, PATH_REGISTRIES, &ignored, err) ||
        !mir_toml_parse(text, PATH_REGISTRIES, &conf->doc, err))
        return false;
    for (size_t i = 0; i < conf->registries.count; i++)
        mir_map_set(conf->last, icsp_registry_scope(conf->registries.items[i]),
                    &conf->registries.items[i]);
    return true;
}

/* An entry, one of its mirrors (or NULL), one of the keys of either (or NULL). */
struct spot {
    const struct conf *conf;
    struct icsp_registry *const *entry; /* an element of conf->registries.items; NULL: the top */
    const struct icsp_mirror *mirror;
    const char *key;
};

static const struct mir_toml_table *item(const struct mir_toml_table *table, const char *key,
                                         size_t index)
{
    const struct mir_toml_value *list = mir_toml_find(table, key);

    return list && list->kind == MIR_TOML_ARRAY && index < list->array->count
               ? list->array->items[index].table
               : NULL;
}

/* Of the key; where it is not written, of the entry or mirror that lacks it. */
static unsigned line_of(const struct spot *spot)
{
    const struct mir_toml_table *table = mir_toml_root(spot->conf->doc);
    const struct mir_toml_entry *found;

    if (spot->entry)
        table = item(table, "registry", (size_t)(spot->entry - spot->conf->registries.items));
    if (table && spot->entry && spot->mirror)
        table = item(table, "mirror", (size_t)(spot->mirror - (*spot->entry)->mirrors));
    if (!table)
        return 0;
    found = spot->key ? mir_toml_find_entry(table, mir_span_of(spot->key)) : NULL;
    return found ? found->key_at.line : table->at.line;
}

/* ---- causes ---- */

struct comparison {
    struct icsp_changes *changes;
    const char *path;
    const struct conf *now, *then;
    bool is_certain;
};

static void add_cause(struct comparison *c, struct icsp_cause cause)
{
    struct icsp_changes *changes = c->changes;

    cause.path = c->path;
    mir_grow(&changes->causes, changes->cause_count, &changes->cause_capacity,
             sizeof(*changes->causes));
    changes->causes[changes->cause_count++] = cause;
}

static void drains(struct comparison *c, const struct spot *spot, const char *rule, const char *fmt,
                   ...) MIR_PRINTF(4, 5);

static void drains(struct comparison *c, const struct spot *spot, const char *rule, const char *fmt,
                   ...)
{
    struct mir_span scope = spot->entry ? icsp_registry_scope(*spot->entry) : (struct mir_span){0};
    char text[CAUSE_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    add_cause(c,
              (struct icsp_cause){.action = ICSP_ACTION_DRAIN,
                                  .is_now = spot->conf == c->now,
                                  .line = line_of(spot),
                                  .entry = spot->entry ? mir_strndup(scope.ptr, scope.len) : NULL,
                                  .rule = rule,
                                  .text = mir_strdup(text),
                                  .is_certain = c->is_certain});
}

/* ---- what must hold for the node to stay as it is ---- */

/* The old list is the beginning of the new one. */
static void compare_search(struct comparison *c)
{
    const struct icsp_strings *now = &c->now->registries.search;
    const struct icsp_strings *then = &c->then->registries.search;
    struct spot spot = {.conf = c->then, .key = "unqualified-search-registries"};

    for (size_t i = 0; i < now->count; i++) {
        if (i < then->count && strcmp(now->items[i], then->items[i]) == 0)
            continue;
        if (!then->given)
            spot.conf = c->now;
        drains(c, &spot, "search-list",
               "unqualified-search-registries loses \"%.200s\", or has it at another place",
               now->items[i]);
        return;
    }
}

static void compare_removed(struct comparison *c)
{
    for (size_t i = 0; i < c->now->registries.count; i++) {
        struct icsp_registry *const *entry = &c->now->registries.items[i];
        struct mir_span scope = icsp_registry_scope(*entry);
        struct spot spot = {.conf = c->now, .entry = entry};

        if (mir_map_find(c->now->last, scope) == entry && !mir_map_find(c->then->last, scope))
            drains(c, &spot, "entry-removed", "the entry goes away");
    }
}

/* An entry in both files. */
struct pair {
    struct icsp_registry *const *now, *const *then;
};

static bool same_pull(const struct icsp_mirror *a, const struct icsp_mirror *b)
{
    return a->pull == b->pull && a->says_all == b->says_all;
}

static bool same_mirrors(const struct icsp_registry *a, const struct icsp_registry *b)
{
    if (a->mirror_count != b->mirror_count)
        return false;
    for (size_t i = 0; i < a->mirror_count; i++)
        if (strcmp(a->mirrors[i].location, b->mirrors[i].location) != 0 ||
            a->mirrors[i].insecure != b->mirrors[i].insecure ||
            !same_pull(&a->mirrors[i], &b->mirrors[i]))
            return false;
    return true;
}

static void compare_texts(struct comparison *c, const struct pair *pair, const char *key,
                          const char *rule, const char *now, const char *then)
{
    struct spot spot = {.conf = c->then, .entry = pair->then, .key = key};

    if (strcmp(now, then) != 0)
        drains(c, &spot, rule, "%s was \"%.200s\" and becomes \"%.200s\"", key, now, then);
}

static void compare_flags(struct comparison *c, const struct pair *pair, const char *key,
                          const char *rule, bool now, bool then)
{
    struct spot spot = {
        .conf = then ? c->then : c->now, .entry = then ? pair->then : pair->now, .key = key};

    if (now != then)
        drains(c, &spot, rule, "%s becomes %s", key, then ? "true" : "false");
}

/* Location -> the first mirror there; borrows the entry. */
static struct mir_map *index_mirrors(const struct icsp_registry *entry)
{
    struct mir_map *index = mir_map_new_borrowing();

    for (size_t i = 0; i < entry->mirror_count; i++) {
        struct mir_span location = mir_span_of(entry->mirrors[i].location);

        if (!mir_map_find(index, location))
            mir_map_set(index, location, &entry->mirrors[i]);
    }
    return index;
}

static const char *pull_word(const struct icsp_mirror *mirror)
{
    switch (mirror->pull) {
    case ICSP_PULL_ALL:
        return mirror->says_all ? "all" : "";
    case ICSP_PULL_DIGEST:
        return "digest-only";
    case ICSP_PULL_TAG:
        return "tag-only";
    }
    return "";
}

static void compare_lost_mirrors(struct comparison *c, const struct pair *pair)
{
    auto_map *then = index_mirrors(*pair->then);

    for (size_t i = 0; i < (*pair->now)->mirror_count; i++) {
        const struct icsp_mirror *mirror = &(*pair->now)->mirrors[i];
        struct spot spot = {
            .conf = c->now, .entry = pair->now, .mirror = mirror, .key = "location"};

        if (!mir_map_find(then, mir_span_of(mirror->location)))
            drains(c, &spot, "mirror-removed", "the mirror \"%.200s\" goes away", mirror->location);
    }
}

/* A location that is listed twice is judged by what stands first in the old file. */
static void compare_new_mirrors(struct comparison *c, const struct pair *pair)
{
    auto_map *now = index_mirrors(*pair->now);

    for (size_t i = 0; i < (*pair->then)->mirror_count; i++) {
        const struct icsp_mirror *mirror = &(*pair->then)->mirrors[i];
        const struct icsp_mirror *before = mir_map_find(now, mir_span_of(mirror->location));
        struct spot spot = {
            .conf = c->then, .entry = pair->then, .mirror = mirror, .key = "pull-from-mirror"};

        if (mirror->pull == ICSP_PULL_DIGEST)
            continue;
        if (before && !same_pull(before, mirror))
            drains(c, &spot, "mirror-pull",
                   "pull-from-mirror of \"%.200s\" was \"%s\" and becomes \"%s\"", mirror->location,
                   pull_word(before), pull_word(mirror));
        if (!before && !(*pair->then)->digest_only)
            drains(c, &spot, "mirror-added",
                   "the mirror \"%.200s\" is new, and not for pulls by digest only",
                   mirror->location);
    }
}

/* The same where the entry says for all mirrors what they are for. */
static void compare_mirrors_by_entry(struct comparison *c, const struct pair *pair)
{
    auto_map *now = index_mirrors(*pair->now);

    compare_flags(c, pair, "mirror-by-digest-only", "entry-digest-only", (*pair->now)->digest_only,
                  (*pair->then)->digest_only);
    if ((*pair->now)->digest_only != (*pair->then)->digest_only)
        return;
    compare_lost_mirrors(c, pair);
    for (size_t i = 0; i < (*pair->then)->mirror_count && !(*pair->then)->digest_only; i++) {
        const struct icsp_mirror *mirror = &(*pair->then)->mirrors[i];
        struct spot spot = {
            .conf = c->then, .entry = pair->then, .mirror = mirror, .key = "location"};

        if (!mir_map_find(now, mir_span_of(mirror->location)))
            drains(c, &spot, "mirror-added",
                   "the mirror \"%.200s\" is new, and not for pulls by digest only",
                   mirror->location);
    }
}

static void compare_pair(struct comparison *c, const struct pair *pair)
{
    const struct icsp_registry *now = *pair->now;
    const struct icsp_registry *then = *pair->then;

    compare_texts(c, pair, "prefix", "entry-prefix", now->prefix, then->prefix);
    compare_texts(c, pair, "location", "entry-location", now->location, then->location);
    compare_flags(c, pair, "blocked", "entry-blocked", now->blocked, then->blocked);
    compare_flags(c, pair, "insecure", "entry-insecure", now->insecure, then->insecure);
    if (c->then->registries.generation->drain_rule == ICSP_DRAIN_BY_ENTRY) {
        compare_mirrors_by_entry(c, pair);
        return;
    }
    if (now->digest_only == then->digest_only && same_mirrors(now, then))
        return;
    compare_lost_mirrors(c, pair);
    compare_new_mirrors(c, pair);
}

/* A new entry is safe when it has mirrors and all are for pulls by digest. */
static void judge_new(struct comparison *c, struct icsp_registry *const *entry)
{
    const struct icsp_registry *registry = *entry;
    bool by_entry = c->then->registries.generation->drain_rule == ICSP_DRAIN_BY_ENTRY;
    struct spot spot = {.conf = c->then, .entry = entry};

    if ((by_entry || registry->mirror_count == 0) && registry->digest_only)
        return;
    if (registry->mirror_count == 0) {
        spot.key = registry->blocked ? "blocked" : "insecure";
        drains(c, &spot, "entry-added", "the entry is new, and has no mirror");
        return;
    }
    for (size_t i = 0; i < registry->mirror_count; i++) {
        spot.mirror = &registry->mirrors[i];
        spot.key = "pull-from-mirror";
        if (by_entry || registry->mirrors[i].pull != ICSP_PULL_DIGEST) {
            drains(c, &spot, "entry-added",
                   "the entry is new, and its mirror \"%.200s\" is not for pulls by digest only",
                   registry->mirrors[i].location);
            return;
        }
    }
}

static void compare_entries(struct comparison *c)
{
    for (size_t i = 0; i < c->then->registries.count; i++) {
        struct icsp_registry *const *entry = &c->then->registries.items[i];
        struct mir_span scope = icsp_registry_scope(*entry);
        struct pair pair = {.now = mir_map_find(c->now->last, scope), .then = entry};

        if (mir_map_find(c->then->last, scope) != entry)
            continue;
        if (pair.now)
            compare_pair(c, &pair);
        else
            judge_new(c, entry);
    }
}

/* ---- one file ---- */

static void fixed(struct comparison *c, enum icsp_action action, const char *rule, bool is_certain,
                  const char *text)
{
    add_cause(
        c, (struct icsp_cause){
               .action = action, .rule = rule, .text = mir_strdup(text), .is_certain = is_certain});
}

static bool judge_registries(struct comparison *c, const struct icsp_change *change,
                             const struct icsp_generation *generation, struct mir_error *err)
{
    size_t before = c->changes->cause_count;
    auto_conf now = {0};
    auto_conf then = {0};

    if (generation->drain_rule == ICSP_DRAIN_REBOOTS) {
        fixed(c, ICSP_ACTION_REBOOT, "file", generation->drain_is_known,
              "any change reboots up to 4.6; 4.7 drains, 4.8 is as generation 4.10");
        return true;
    }
    if (!conf_read(&now, change->now, generation, err))
        return mir_context(err, "the node's present file");
    if (!conf_read(&then, change->then, generation, err))
        return false;
    c->now = &now;
    c->then = &then;
    c->is_certain = generation->drain_is_known;
    compare_search(c);
    compare_removed(c);
    compare_entries(c);
    if (c->changes->cause_count == before)
        fixed(c, ICSP_ACTION_RELOAD, "file", c->is_certain,
              "changes, and in no way that pods would have to leave for");
    c->now = c->then = NULL;
    return true;
}

/* What other paths take. A row ends with '/' when it is a folder. */
static void judge_path(struct comparison *c, const struct icsp_generation *generation)
{
    bool by_daemon = generation->drain_rule != ICSP_DRAIN_REBOOTS;

    if (mir_starts_with(c->path, "etc/docker/certs.d/"))
        fixed(c, ICSP_ACTION_NOTHING, "certificates", generation->drain_is_known,
              "is put there beside the machine configuration, and read anew for every pull");
    else if (strcmp(c->path, "etc/containers/policy.json") == 0 && by_daemon)
        fixed(c, ICSP_ACTION_RELOAD, "file", generation->drain_is_known, "changes");
    else if (mir_starts_with(c->path, "etc/containers/registries.d/") && by_daemon)
        fixed(c, ICSP_ACTION_RELOAD, "file", generation->namespaces_reload, "changes");
    else if (mir_starts_with(c->path, "etc/crio/policies/") && generation->namespaces_reload)
        fixed(c, ICSP_ACTION_RELOAD, "file", true, "changes");
    else
        fixed(c, ICSP_ACTION_REBOOT, "file", !mir_starts_with(c->path, "etc/crio/"),
              "changes, and the daemon knows no milder way for it");
}

static bool judge(struct icsp_changes *changes, struct icsp_change *change,
                  const struct icsp_generation *generation, struct mir_error *err)
{
    struct comparison c = {.changes = changes, .path = change->path};
    size_t before = changes->cause_count;

    if (strcmp(c.path, PATH_REGISTRIES) != 0)
        judge_path(&c, generation);
    else if (!judge_registries(&c, change, generation, err))
        return false;
    for (size_t i = before; i < changes->cause_count; i++)
        if (changes->causes[i].action > change->action)
            change->action = changes->causes[i].action;
    if (change->action > changes->action)
        changes->action = change->action;
    return true;
}

/* ---- all files ---- */

static int compare_changes(const void *a, const void *b)
{
    const struct icsp_change *left = a;
    const struct icsp_change *right = b;

    return strcmp(left->path, right->path);
}

static void add_change(struct icsp_changes *changes, const char *path, const struct icsp_file *now,
                       const struct icsp_file *then)
{
    if (now && then &&
        mir_span_equal(mir_span(now->data, now->len), mir_span(then->data, then->len)))
        return;
    mir_grow(&changes->items, changes->count, &changes->capacity, sizeof(*changes->items));
    changes->items[changes->count++] = (struct icsp_change){.path = path, .now = now, .then = then};
}

/* Paths are unique in a tree. */
static void match(struct icsp_tree now, struct icsp_tree then, struct icsp_changes *changes)
{
    auto_map *present = mir_map_new_borrowing();
    auto_map *wanted = mir_map_new_borrowing();

    for (size_t i = 0; i < now.count; i++)
        mir_map_set(present, mir_span_of(now.items[i].path), &now.items[i]);
    for (size_t i = 0; i < then.count; i++) {
        struct mir_span path = mir_span_of(then.items[i].path);

        mir_map_set(wanted, path, &then.items[i]);
        add_change(changes, then.items[i].path, mir_map_find(present, path), &then.items[i]);
    }
    for (size_t i = 0; i < now.count; i++)
        if (!mir_map_find(wanted, mir_span_of(now.items[i].path)))
            add_change(changes, now.items[i].path, &now.items[i], NULL);
    if (changes->count > 0)
        qsort(changes->items, changes->count, sizeof(*changes->items), compare_changes);
}

bool icsp_compare(struct icsp_tree now, struct icsp_tree then,
                  const struct icsp_generation *generation, struct icsp_changes *out,
                  struct mir_error *err)
{
    auto_changes changes = {0};

    if (!generation)
        generation = &icsp_generation_current;
    match(now, then, &changes);
    for (size_t i = 0; i < changes.count; i++)
        if (!judge(&changes, &changes.items[i], generation, err))
            return false;
    *out = changes;
    changes = (struct icsp_changes){0};
    return true;
}

/* ---- for people and programs ---- */

char *icsp_cause_format(const struct icsp_cause *cause)
{
    auto_buf text;

    mir_buf_init(&text, ICSP_FILE_MAX);
    mir_buf_text(&text, cause->path);
    if (cause->line > 0)
        mir_buf_printf(&text, ":%u", cause->line);
    if (cause->is_now)
        mir_buf_text(&text, " (as it is now)");
    if (cause->entry)
        mir_buf_printf(&text, ": \"%s\"", cause->entry);
    mir_buf_printf(&text, ": %s", cause->text);
    return mir_buf_take(&text);
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static json_t *cause_json(const struct icsp_cause *cause)
{
    json_t *object = json_pack("{s:s, s:s, s:s}", "action", icsp_action_word(cause->action), "rule",
                               cause->rule, "file", cause->path);

    if (cause->line > 0) {
        json_object_set_new(object, "line", json_integer(cause->line));
        json_object_set_new(object, "side", json_string(cause->is_now ? "now" : "then"));
    }
    set_text(object, "entry", cause->entry);
    set_text(object, "text", cause->text);
    json_object_set_new(object, "certain", json_boolean(cause->is_certain));
    return object;
}

json_t *icsp_changes_json(const struct icsp_changes *changes)
{
    json_t *files = json_array();
    json_t *causes = json_array();

    for (size_t i = 0; i < changes->count; i++) {
        const struct icsp_change *change = &changes->items[i];
        const char *kind = !change->now ? "added" : !change->then ? "removed" : "changed";

        json_array_append_new(files, json_pack("{s:s, s:s, s:s}", "path", change->path, "change",
                                               kind, "action", icsp_action_word(change->action)));
    }
    for (size_t i = 0; i < changes->cause_count; i++)
        json_array_append_new(causes, cause_json(&changes->causes[i]));
    return json_pack("{s:s, s:o, s:o}", "action", icsp_action_word(changes->action), "files", files,
                     "causes", causes);
}
