/*
 * Scopes. Two relations that look alike and are not: nesting (which object's setting holds for
 * which scope, decided by the cluster) and prefix matching (which entry a runtime uses for an
 * image, decided on the node). Both are here, side by side, with the formats.
 */
#include "icsp/scope_priv.h"

static bool is_alnum(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool icsp_scope_is_wildcard(struct mir_span scope)
{
    return mir_span_starts_with(scope, "*.");
}

static bool span_has(struct mir_span span, char c)
{
    size_t at;

    return mir_span_find(span, c, &at);
}

static struct mir_span before(struct mir_span span, char c)
{
    size_t at;

    return mir_span_find(span, c, &at) ? mir_span_first(span, at) : span;
}

/* What of a scope a wildcard is compared with; false when no wildcard contains the scope. */
static bool wildcard_host(struct mir_span scope, struct mir_span *host)
{
    if (!span_has(scope, ':')) {
        *host = before(scope, '/');
        return true;
    }
    *host = before(scope, ':');
    return !span_has(*host, '/');
}

static bool ends_with(struct mir_span span, struct mir_span suffix)
{
    return span.len >= suffix.len &&
           mir_span_equal(mir_span_from(span, span.len - suffix.len), suffix);
}

bool icsp_scope_is_nested(struct mir_span sub, struct mir_span super)
{
    struct mir_span host;

    if (mir_span_equal(sub, super))
        return true;
    if (sub.len > super.len && sub.ptr[super.len] == '/' &&
        mir_span_equal(mir_span_first(sub, super.len), super))
        return true;
    return icsp_scope_is_wildcard(super) && wildcard_host(sub, &host) &&
           ends_with(host, mir_span_from(super, 1));
}

struct icsp_scope_walk icsp_scope_walk_from(struct mir_span scope)
{
    struct icsp_scope_walk walk = {.scope = scope};

    if (!wildcard_host(scope, &walk.host))
        walk.host = mir_span("", 0);
    return walk;
}

struct icsp_scope_walk icsp_scope_walk_plain(struct mir_span scope)
{
    return (struct icsp_scope_walk){.scope = scope, .host = mir_span("", 0)};
}

/* The offset of the next c at or behind from. */
static bool find_from(struct mir_span span, size_t from, char c, size_t *at)
{
    if (from > span.len || !mir_span_find(mir_span_from(span, from), c, at))
        return false;
    *at += from;
    return true;
}

bool icsp_scope_walk_next(struct icsp_scope_walk *walk, struct mir_span *super, bool *wildcard)
{
    size_t at;

    *wildcard = false;
    if (walk->stage == 0) {
        walk->stage = 1;
        *super = walk->scope;
        return true;
    }
    if (walk->stage == 1 && find_from(walk->scope, walk->path_at, '/', &at)) {
        walk->path_at = at + 1;
        *super = mir_span_first(walk->scope, at);
        return true;
    }
    walk->stage = 2;
    if (!find_from(walk->host, walk->dot_at, '.', &at))
        return false;
    walk->dot_at = at + 1;
    *super = mir_span_from(walk->host, at);
    *wildcard = true;
    return true;
}

bool icsp_scope_has_plain_star(struct mir_span entry)
{
    if (!span_has(entry, '*'))
        return true;
    if (!icsp_scope_is_wildcard(entry))
        return false;
    for (size_t i = 2; i < entry.len; i++)
        if (strchr("/@:*", entry.ptr[i]))
            return false;
    return true;
}

bool icsp_scope_is_list_entry(struct mir_span entry)
{
    return entry.len > 0 && icsp_scope_has_plain_star(entry);
}

/* ---- formats ---- */

/* alnum | alnum (alnum | "-")* alnum */
static bool is_label(struct mir_span label)
{
    if (label.len == 0 || !is_alnum(label.ptr[0]) || !is_alnum(label.ptr[label.len - 1]))
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

/* label ("." label)* */
static bool is_domain(struct mir_span domain)
{
    size_t at;

    for (; mir_span_find(domain, '.', &at); domain = mir_span_from(domain, at + 1))
        if (!is_label(mir_span_first(domain, at)))
            return false;
    return is_label(domain);
}

static bool is_host(struct mir_span host)
{
    struct mir_span port;
    size_t at;

    if (!mir_span_find(host, ':', &at))
        return is_domain(host);
    port = mir_span_from(host, at + 1);
    for (size_t i = 0; i < port.len; i++)
        if (port.ptr[i] < '0' || port.ptr[i] > '9')
            return false;
    return port.len > 0 && is_domain(mir_span_first(host, at));
}

/* The length of what stands between two runs of letters and digits; 0: not a separator. */
static size_t separator_len(struct mir_span piece, size_t at)
{
    size_t len = 0;

    if (piece.ptr[at] == '.')
        return 1;
    if (piece.ptr[at] == '_')
        return at + 1 < piece.len && piece.ptr[at + 1] == '_' ? 2 : 1;
    while (at + len < piece.len && piece.ptr[at + len] == '-')
        len++;
    return len;
}

static bool is_path_piece(struct mir_span piece)
{
    size_t at = 0;

    if (piece.len == 0)
        return false;
    while (at < piece.len) {
        size_t run = at;
        size_t separator;

        while (at < piece.len && is_lower_or_digit(piece.ptr[at]))
            at++;
        if (at == run)
            return false;
        if (at == piece.len)
            return true;
        separator = separator_len(piece, at);
        if (separator == 0)
            return false;
        at += separator;
    }
    return false;
}

bool icsp_scope_is_mirror(struct mir_span text)
{
    size_t at;

    if (!mir_span_find(text, '/', &at))
        return is_host(text);
    if (!is_host(mir_span_first(text, at)))
        return false;
    text = mir_span_from(text, at + 1);
    for (; mir_span_find(text, '/', &at); text = mir_span_from(text, at + 1))
        if (!is_path_piece(mir_span_first(text, at)))
            return false;
    return is_path_piece(text);
}

bool icsp_scope_is_source(struct mir_span text)
{
    if (icsp_scope_is_wildcard(text))
        return is_domain(mir_span_from(text, 2));
    return icsp_scope_is_mirror(text);
}

/* ---- prefixes ---- */

static bool ends_scope(struct mir_span ref, size_t at)
{
    return at == ref.len || ref.ptr[at] == ':' || ref.ptr[at] == '/' || ref.ptr[at] == '@';
}

static bool wildcard_match(struct mir_span suffix, struct mir_span ref, size_t *len)
{
    const char *found = memmem(ref.ptr, ref.len, suffix.ptr, suffix.len);
    size_t at;

    if (!found)
        return false;
    at = (size_t)(found - ref.ptr);
    if (memchr(ref.ptr, '/', at) || !ends_scope(ref, at + suffix.len))
        return false;
    *len = at + suffix.len;
    return true;
}

bool icsp_prefix_match(struct mir_span prefix, struct mir_span ref, size_t *len)
{
    if (icsp_scope_is_wildcard(prefix))
        return wildcard_match(mir_span_from(prefix, 1), ref, len);
    if (ref.len < prefix.len || !mir_span_equal(mir_span_first(ref, prefix.len), prefix))
        return false;
    if (!ends_scope(ref, prefix.len))
        return false;
    *len = prefix.len;
    return true;
}
