/*
 * Version 1 of registries.conf, which the container library still takes where nothing of version 2
 * stands beside it: three lists of hosts, [registries.search], [registries.insecure] and
 * [registries.block].
 */
#include "icsp/registries_priv.h"

#include "base/mem.h"

/* The list of one section; NULL when it is not there. */
static bool get_list(const struct mir_toml *doc, const char *section,
                     const struct mir_toml_array **out, struct mir_error *err)
{
    const struct mir_toml_table *root = mir_toml_root(doc);
    const struct mir_toml_table *all = NULL;
    const struct mir_toml_table *one = NULL;

    *out = NULL;
    if (!mir_toml_get_table(doc, root, icsp_registries_key(root, "registries"), &all, err))
        return false;
    if (!all)
        return true;
    if (!mir_toml_get_table(doc, all, icsp_registries_key(all, section), &one, err))
        return false;
    return !one || mir_toml_get_array_of(doc, one, icsp_registries_key(one, "registries"),
                                         MIR_TOML_STRING, out, err);
}

bool icsp_registries_find_v1(const struct mir_toml *doc, bool *some, struct mir_error *err)
{
    static const char *const sections[] = {"search", "insecure", "block"};

    *some = false;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const struct mir_toml_array *list;

        if (!get_list(doc, sections[i], &list, err))
            return false;
        *some = *some || list;
    }
    return true;
}

/* The entry of a host. A '/' at its end is no part of it. */
static struct icsp_registry *entry(struct icsp_registries *registries,
                                   const struct mir_toml_value *value)
{
    struct mir_span host = value->string;
    struct icsp_registry *found;

    while (host.len > 0 && host.ptr[host.len - 1] == '/')
        host.len--;
    found = mir_map_find(registries->by_scope, host);
    if (found)
        return found;
    found = icsp_registries_append(registries);
    found->prefix = mir_strdup("");
    found->location = mir_strndup(host.ptr, host.len);
    found->line = value->at.line;
    icsp_registries_index(registries, found);
    return found;
}

bool icsp_registries_read_v1(struct icsp_registries *registries, const struct mir_toml *doc,
                             struct mir_error *err)
{
    const struct mir_toml_array *search;
    const struct mir_toml_array *insecure;
    const struct mir_toml_array *block;

    if (!get_list(doc, "search", &search, err) || !get_list(doc, "insecure", &insecure, err) ||
        !get_list(doc, "block", &block, err))
        return false;
    for (size_t i = 0; block && i < block->count; i++)
        entry(registries, &block->items[i])->blocked = true;
    for (size_t i = 0; insecure && i < insecure->count; i++)
        entry(registries, &insecure->items[i])->insecure = true;
    for (size_t i = 0; search && i < search->count; i++)
        icsp_strings_add(&registries->search, search->items[i].string);
    registries->search.given = search != NULL;
    return true;
}
