/*
 * What a registry lists: its repositories, and the tags of one. Lists come in pages; each page says
 * where the next one is. Called for receipts.
 *
 * Invariants: every page is asked of the registry itself, whatever the last one said; what comes
 * out are names that follow their grammar, sorted, each once.
 *
 * Spec: OCI distribution 1.1, "Listing Tags"; Docker Registry HTTP API v2, "Listing Repositories".
 */
#include "registry/registry_priv.h"

#include <strings.h>

#include "base/map.h"
#include "base/tree.h"
#include "image/ref.h"

#define PAGE_NAMES     1000 /* asked for; a registry may give more or fewer */
#define PAGE_BYTES_MAX (32u << 20)
#define PAGES_MAX      100000
#define BARREN_MAX     100 /* pages in a row that bring nothing new; some hide what we may not see */

struct list {
    struct reg_session *session;
    struct reg_call call;
    const char *key; /* of the array in a page */
    bool (*is_name)(struct mir_span text);
    struct mir_map *known, *asked; /* names; pages */
    size_t skipped, pages, barren;
    struct reg_names names;
    size_t capacity;
};

void reg_names_release(struct reg_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct reg_names){0};
}

/* ---- one page ------------------------------------------------------------------------------ */

/* A name that nobody can ask for is passed over: registries hold what was put into them long ago.
 */
static bool take_name(struct list *list, const json_t *value, struct mir_error *err)
{
    const char *text = json_string_value(value);
    struct mir_span name = text ? mir_span(text, json_string_length(value)) : mir_span_of("");
    char *copy;

    if (!text || !list->is_name(name)) {
        list->skipped++;
        return true;
    }
    if (mir_map_find(list->known, name))
        return true;
    if (list->names.count >= REG_NAMES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "more than %d names", REG_NAMES_MAX);
    mir_grow(&list->names.names, list->names.count, &list->capacity, sizeof(char *));
    copy = mir_strdup(text);
    list->names.names[list->names.count++] = copy;
    mir_map_set(list->known, mir_span_of(copy), copy);
    return true;
}

static bool take_page(struct list *list, const struct http_response *response,
                      struct mir_error *err)
{
    size_t before = list->names.count;
    auto_json *page = NULL;
    const json_t *names, *name;
    size_t i;

    if (!mir_json_parse(mir_buf_span(&response->body), "the answer", &page, err))
        return false;
    names = json_object_get(page, list->key);
    /* Some say null of an empty list. */
    if (!json_is_array(names) && !json_is_null(names))
        return mir_fail(err, MIR_E_PROTOCOL, "the answer has no list \"%s\"", list->key);
    json_array_foreach (names, i, name)
        if (!take_name(list, name, err))
            return false;
    list->barren = list->names.count == before ? list->barren + 1 : 0;
    return true;
}

/* ---- from page to page --------------------------------------------------------------------- */

/* rel=next among the parameters behind a link's target. */
static bool is_next(struct mir_span params)
{
    struct mir_span param;

    while (mir_span_next(&params, ';', &param)) {
        size_t equals;
        struct mir_span value;

        if (!mir_span_find(param, '=', &equals) ||
            !mir_span_is(mir_span_trim(mir_span_first(param, equals)), "rel"))
            continue;
        value = mir_span_trim(mir_span_from(param, equals + 1));
        if (mir_span_is(value, "next") || mir_span_is(value, "\"next\""))
            return true;
    }
    return false;
}

/* "<TARGET>; rel=..., <TARGET>; ...": the target of the first that is the next page. A comma may
 * stand in a target, so it is brackets that are looked for. */
static bool find_next(struct mir_span header, struct mir_span *target)
{
    size_t open, close, end;

    while (mir_span_find(header, '<', &open)) {
        header = mir_span_from(header, open + 1);
        if (!mir_span_find(header, '>', &close))
            return false;
        *target = mir_span_first(header, close);
        header = mir_span_from(header, close + 1);
        if (!mir_span_find(header, ',', &end))
            end = header.len;
        if (is_next(mir_span_first(header, end)))
            return true;
        header = mir_span_from(header, end);
    }
    return false;
}

/* Where the next page is; NULL: this was the last. Only the registry that was asked knows. */
static bool next_page(const struct http_response *response, const char *url, char **out,
                      struct mir_error *err)
{
    auto_free char *next = NULL;
    const char *header;
    struct mir_span target = mir_span_of("");
    bool found = false;

    *out = NULL;
    for (size_t i = 0; !found; i++) {
        header = http_response_header_at(response, "Link", i);
        if (!header)
            return true;
        found = find_next(mir_span_of(header), &target);
    }
    next = mir_strndup(target.ptr, target.len);
    if (!http_url_resolve(url, next, out, err))
        return mir_context(err, "the next page");
    if (!http_url_same_origin(url, *out)) {
        auto_free char *shown = http_url_redact(*out);

        free(mir_steal(out));
        return mir_fail(err, MIR_E_PROTOCOL, "the next page is said to be elsewhere, at %s", shown);
    }
    return true;
}

/* Does it go on as a list does: each page another one, and something in them? */
static bool check_pages(struct list *list, const char *url, struct mir_error *err)
{
    if (mir_map_find(list->asked, mir_span_of(url)))
        return mir_fail(err, MIR_E_PROTOCOL, "the list goes round in circles");
    mir_map_set(list->asked, mir_span_of(url), list);
    if (++list->pages > PAGES_MAX || list->barren > BARREN_MAX)
        return mir_fail(err, MIR_E_LIMIT, "the list does not end: %zu pages", list->pages);
    return true;
}

static bool get_page(struct list *list, const char *url, char **next, struct mir_error *err)
{
    auto_response response = HTTP_RESPONSE_INIT;
    auto_free char *shown = http_url_redact(url);

    list->call.url = url;
    if (!check_pages(list, url, err))
        return mir_context(err, "GET %s", shown);
    if (!reg_call_send(list->session, &list->call, &response, err))
        return false;
    /* The number that was asked for may be more than it gives at once. */
    if (response.status == 400 && list->pages == 1) {
        *next = mir_strndup(url, strcspn(url, "?"));
        return true;
    }
    if (response.status != 200)
        return reg_refuse(list->session, &list->call, &response, err);
    return (take_page(list, &response, err) && next_page(&response, url, next, err)) ||
           mir_context(err, "GET %s", shown);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool get_pages(struct list *list, const char *path, struct mir_error *err)
{
    const struct reg_repo *repo = list->call.repo;
    struct reg_host *host = NULL;
    const char *scheme = NULL;
    auto_free char *url = NULL;

    if (!reg_host_get(list->session->client, repo->host, repo->insecure, &host, err) ||
        !reg_host_scheme(list->session, host, &scheme, err))
        return false;
    url = mir_format("%s://%s/v2/%s?n=%d", scheme, host->endpoint, path, PAGE_NAMES);
    while (url) {
        char *next = NULL;

        if (!get_page(list, url, &next, err))
            return false;
        free(url);
        url = next;
    }
    if (list->names.count > 0)
        qsort(list->names.names, list->names.count, sizeof(char *), by_text);
    return true;
}

static bool read_list(struct list *list, const char *path, struct reg_names *out,
                      struct mir_error *err)
{
    auto_map *known = mir_map_new_borrowing();
    auto_map *asked = mir_map_new();

    list->known = known;
    list->asked = asked;
    list->call.method = HTTP_GET;
    list->call.body_max = PAGE_BYTES_MAX;
    if (!get_pages(list, path, err)) {
        reg_names_release(&list->names);
        return false;
    }
    if (list->skipped > 0)
        mir_log(list->session->client->options.sink, MIR_LEVEL_WARN,
                "%s: %s lists %zu name%s that cannot be asked for", list->call.repo->host, path,
                list->skipped, list->skipped == 1 ? "" : "s");
    *out = list->names;
    return true;
}

/* ---- the lists ----------------------------------------------------------------------------- */

bool reg_tag_list(struct reg_session *session, const struct reg_repo *repo, struct reg_names *out,
                  struct mir_error *err)
{
    auto_free char *path = mir_format("%s/tags/list", repo->name);
    struct list list = {
        .session = session, .call = {.repo = repo}, .key = "tags", .is_name = img_is_tag};

    return reg_check_names(repo, NULL, err) && read_list(&list, path, out, err);
}

/* Most registries let nobody see it, or only those who run them. */
static bool hint_refused(const char *host, struct mir_error *err)
{
    if (err->code != MIR_E_AUTH && err->code != MIR_E_NOT_FOUND && err->code != MIR_E_PROTOCOL)
        return false;
    err->hint[0] = '\0';
    return mir_hint(err,
                    "log in to %s (mirror login %s); registries that list nothing, or not to "
                    "everybody, have to be told which repositories are meant",
                    host, host);
}

bool reg_repo_list(struct reg_session *session, const char *host, bool insecure,
                   struct reg_names *out, struct mir_error *err)
{
    const struct reg_repo all = {.host = host, .name = "", .insecure = insecure};
    struct list list = {.session = session,
                        .call = {.repo = &all, .scope = "registry:catalog:*"},
                        .key = "repositories",
                        .is_name = img_is_repo};

    if (!img_is_host(mir_span_of(host)))
        return mir_fail(err, MIR_E_FORMAT, "\"%s\" is no host", host);
    return read_list(&list, "_catalog", out, err) || hint_refused(host, err);
}
