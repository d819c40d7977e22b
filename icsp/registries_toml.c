/*
 * registries.conf as bytes: TOML the way the operator's encoder lays it out. Keys that are empty
 * are left out, except prefix; two blanks per level; one newline at the end.
 */
#include "icsp/registries_priv.h"

/* A basic string. Non-ASCII stays as it is. */
static void write_string(const char *text, struct mir_buf *out)
{
    static const char plain[] = "\b\t\n\f\r\"\\";
    static const char letters[] = "btnfr\"\\";

    mir_buf_char(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *special = strchr(plain, *text);

        if (special)
            mir_buf_printf(out, "\\%c", letters[special - plain]);
        else if (c < 0x20 || c == 0x7f)
            mir_buf_printf(out, "\\u%04x", c);
        else
            mir_buf_char(out, *text);
    }
    mir_buf_char(out, '"');
}

static void write_pair(const char *key, const char *value, struct mir_buf *out)
{
    mir_buf_printf(out, "%s = ", key);
    write_string(value, out);
    mir_buf_char(out, '\n');
}

static void write_search(const char *const *hosts, size_t count, struct mir_buf *out)
{
    mir_buf_text(out, "unqualified-search-registries = [");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            mir_buf_text(out, ", ");
        write_string(hosts[i], out);
    }
    mir_buf_text(out, "]\n");
}

static void write_modes(struct mir_buf *out)
{
    write_pair("short-name-mode", "", out);
    write_pair("additional-layer-store-auth-helper", "", out);
}

static void write_mirror(const struct icsp_mirror *mirror, struct mir_buf *out)
{
    mir_buf_text(out, "\n  [[registry.mirror]]\n");
    if (mirror->location[0])
        write_pair("    location", mirror->location, out);
    if (mirror->insecure)
        mir_buf_text(out, "    insecure = true\n");
    if (mirror->pull != ICSP_PULL_ALL)
        write_pair("    pull-from-mirror",
                   mirror->pull == ICSP_PULL_DIGEST ? "digest-only" : "tag-only", out);
}

static void write_registry(const struct icsp_registry *registry, struct mir_buf *out)
{
    mir_buf_text(out, "\n[[registry]]\n");
    write_pair("  prefix", registry->prefix, out);
    if (registry->location[0])
        write_pair("  location", registry->location, out);
    if (registry->insecure)
        mir_buf_text(out, "  insecure = true\n");
    if (registry->blocked)
        mir_buf_text(out, "  blocked = true\n");
    for (size_t i = 0; i < registry->mirror_count; i++)
        write_mirror(&registry->mirrors[i], out);
}

void icsp_registries_format(const struct icsp_registries *registries, struct mir_buf *out)
{
    if (registries->search_count > 0)
        write_search((const char *const *)registries->search, registries->search_count, out);
    write_modes(out);
    for (size_t i = 0; i < registries->count; i++)
        write_registry(registries->items[i], out);
}

void icsp_search_format(const struct icsp_list *search, struct mir_buf *out)
{
    write_search(search->items, search->count, out);
    write_modes(out);
}
