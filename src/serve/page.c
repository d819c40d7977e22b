/*
 * Pages of sorted names, for the lists of tags and of repositories.
 */
#include "serve/page_priv.h"

#include "base/buf.h"
#include "base/mem.h"
#include "image/manifest.h"

/* How many names are not after last? */
static size_t count_until(const struct serve_names *names, const char *last)
{
    size_t low = 0, high = names->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(names->names[middle], last) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct serve_page serve_page_of(const struct serve_names *names, const struct serve_route *route)
{
    size_t start = route->last[0] ? count_until(names, route->last) : 0;
    size_t left = names->count - start;
    size_t wanted = SERVE_PAGE_MAX;

    if (route->has_count && route->count < SERVE_PAGE_MAX)
        wanted = (size_t)route->count;
    if (wanted >= left)
        return (struct serve_page){start, left, false};
    /* Zero asks for nothing, and gets no link either: it would lead nowhere. */
    return (struct serve_page){start, wanted, wanted > 0};
}

static json_t *list_of(const struct serve_names *names, struct serve_page page)
{
    json_t *list = json_array();

    for (size_t i = 0; i < page.count; i++)
        (void)json_array_append_new(list, json_string(names->names[page.start + i]));
    return list;
}

char *serve_page_catalog(const struct serve_names *names, struct serve_page page)
{
    auto_json *root = json_pack("{s:o}", "repositories", list_of(names, page));

    return json_dumps(root, JSON_COMPACT);
}

char *serve_page_tags(const char *repo, const struct serve_names *names, struct serve_page page)
{
    auto_json *root = json_pack("{s:s, s:o}", "name", repo, "tags", list_of(names, page));

    return json_dumps(root, JSON_COMPACT);
}

char *serve_page_referrers(const struct serve_referrers *list, const char *artifact_type,
                           bool *complete)
{
    static const char end[] = "]}";
    size_t max = IMG_MANIFEST_BYTES_MAX - sizeof(end);
    const char *separator = "";
    struct mir_buf body;

    mir_buf_init(&body, IMG_MANIFEST_BYTES_MAX);
    mir_buf_text(&body,
                 "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX "\",\"manifests\":[");
    *complete = true;
    for (size_t i = 0; list && i < list->count; i++) {
        const struct serve_referrer *item = &list->items[i];

        if (item->content->kind != SERVE_CONTENT_MANIFEST ||
            (artifact_type[0] != '\0' && strcmp(artifact_type, item->artifact_type) != 0))
            continue;
        if (strlen(item->descriptor) + 1 > max - body.len) {
            *complete = false;
            continue;
        }
        mir_buf_text(&body, separator);
        mir_buf_text(&body, item->descriptor);
        separator = ",";
    }
    mir_buf_text(&body, end);
    return mir_buf_take(&body);
}

char *serve_page_link(const char *path, const struct serve_names *names, struct serve_page page)
{
    const char *last = names->names[page.start + page.count - 1];
    struct mir_buf link;

    mir_buf_init(&link, 4 * SERVE_TARGET_MAX);
    mir_buf_printf(&link, "<%s?last=", path);
    for (; *last; last++) {
        if (*last == '/')
            mir_buf_text(&link, "%2F"); /* all else in a name or tag may stand as it is */
        else
            mir_buf_char(&link, *last);
    }
    mir_buf_printf(&link, "&n=%zu>; rel=\"next\"", page.count);
    return mir_buf_take(&link);
}
