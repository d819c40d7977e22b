/*
 * registries.conf as bytes: TOML the way the operator's encoder lays it out. Keys that are empty
 * are left out, except prefix; two blanks per level; one newline at the end. Which lines there are,
 * and what is escaped, depends on the generation.
 */
#include "icsp/registries_priv.h"

#define KEY_SEARCH  "unqualified-search-registries"
#define KEY_HELPERS "credential-helpers"
#define KEY_MODE    "short-name-mode"
#define KEY_LAYERS  "additional-layer-store-auth-helper"

/* Where the bytes go, and by whose rules. */
struct toml {
    const struct icsp_generation *generation;
    struct mir_buf *out;
};

/* A basic string. Non-ASCII stays as it is. */
static void write_string(const struct toml *t, const char *text)
{
    static const char plain[] = "\t\n\r\"\\\b\f";
    static const char letters[] = "tnr\"\\bf";
    bool all = t->generation->escapes_controls;

    mir_buf_char(t->out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *special = strchr(plain, *text);

        if (special && (all || !strchr("\b\f", *text)))
            mir_buf_printf(t->out, "\\%c", letters[special - plain]);
        else if (all && (c < 0x20 || c == 0x7f))
            mir_buf_printf(t->out, "\\u%04x", c);
        else
            mir_buf_char(t->out, *text);
    }
    mir_buf_char(t->out, '"');
}

static void write_pair(const struct toml *t, const char *key, const char *value)
{
    mir_buf_printf(t->out, "%s = ", key);
    write_string(t, value);
    mir_buf_char(t->out, '\n');
}

static void write_list(const struct toml *t, const char *key, const char *const *items,
                       size_t count)
{
    mir_buf_printf(t->out, "%s = [", key);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mir_buf_text(t->out, ", ");
        write_string(t, items[i]);
    }
    mir_buf_text(t->out, "]\n");
}

static void write_mirror(const struct toml *t, const struct icsp_mirror *mirror)
{
    mir_buf_text(t->out, "\n  [[registry.mirror]]\n");
    if (mirror->location[0])
        write_pair(t, "    location", mirror->location);
    if (mirror->insecure)
        mir_buf_text(t->out, "    insecure = true\n");
    if (mirror->says_all)
        write_pair(t, "    pull-from-mirror", "all");
    else if (mirror->pull != ICSP_PULL_ALL)
        write_pair(t, "    pull-from-mirror",
                   mirror->pull == ICSP_PULL_DIGEST ? "digest-only" : "tag-only");
}

static void write_registry(const struct toml *t, const struct icsp_registry *registry)
{
    mir_buf_text(t->out, t->out->len > 0 ? "\n[[registry]]\n" : "[[registry]]\n");
    write_pair(t, "  prefix", registry->prefix);
    if (registry->location[0])
        write_pair(t, "  location", registry->location);
    if (registry->insecure)
        mir_buf_text(t->out, "  insecure = true\n");
    if (registry->blocked)
        mir_buf_text(t->out, "  blocked = true\n");
    if (registry->digest_only)
        mir_buf_text(t->out, "  mirror-by-digest-only = true\n");
    for (size_t i = 0; i < registry->mirror_count; i++)
        write_mirror(t, &registry->mirrors[i]);
}

static void write_strings(const struct toml *t, const char *key, const struct icsp_strings *strings)
{
    if (strings->given)
        write_list(t, key, (const char *const *)strings->items, strings->count);
}

static bool is_bare_key(const char *key)
{
    return key[0] && key[strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_-")] == '\0';
}

static void write_aliases(const struct toml *t, const struct icsp_registries *registries)
{
    mir_buf_text(t->out, "\n[aliases]\n");
    for (size_t i = 0; i < registries->alias_count; i++) {
        const struct icsp_alias *alias = &registries->aliases[i];

        mir_buf_text(t->out, "  ");
        if (is_bare_key(alias->name))
            mir_buf_text(t->out, alias->name);
        else
            write_string(t, alias->name);
        mir_buf_text(t->out, " = ");
        write_string(t, alias->target);
        mir_buf_char(t->out, '\n');
    }
}

void icsp_registries_format(const struct icsp_registries *registries, struct mir_buf *out)
{
    struct toml t = {.generation = registries->generation, .out = out};

    write_strings(&t, KEY_SEARCH, &registries->search);
    if (t.generation->writes_settings) {
        write_strings(&t, KEY_HELPERS, &registries->helpers);
        write_pair(&t, KEY_MODE, registries->mode);
    }
    if (t.generation->writes_layer_helper)
        write_pair(&t, KEY_LAYERS, registries->layer_helper);
    for (size_t i = 0; i < registries->count; i++)
        write_registry(&t, registries->items[i]);
    if (t.generation->writes_settings && registries->has_aliases)
        write_aliases(&t, registries);
}

void icsp_search_format(const struct icsp_list *search, const struct icsp_generation *generation,
                        struct mir_buf *out)
{
    struct toml t = {.generation = generation, .out = out};

    write_list(&t, KEY_SEARCH, search->items, search->count);
    write_pair(&t, KEY_MODE, "");
    if (generation->writes_layer_helper)
        write_pair(&t, KEY_LAYERS, "");
}
