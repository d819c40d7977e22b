/*
 * Which key of an auth file is meant by a repository: from most to least specific, host/ns/repo,
 * host/ns, host; then those in the form of URLs, as docker wrote them. A file from the time of
 * .dockercfg knows hosts alone. Called by auth_look.c.
 *
 * Rule: containers-auth.json(5) and containers/image. There too an empty entry under the exact key
 * is an answer, "nothing here": no shorter key of the same file is tried after it.
 */
#include "registry/auth_priv.h"

bool reg_auth_is_docker_io(const char *host)
{
    return strcmp(host, "docker.io") == 0 || strcmp(host, "index.docker.io") == 0 ||
           strcmp(host, "registry-1.docker.io") == 0;
}

static struct mir_span canonical_host(struct mir_span host)
{
    if (mir_span_is(host, "docker.io") || mir_span_is(host, "registry-1.docker.io"))
        return mir_span_of("index.docker.io");
    return host;
}

/* What host a key in the form of a URL means; other keys stand for themselves. */
static struct mir_span canonical_key(const struct reg_auth_file *file, const char *key)
{
    struct mir_span text = mir_span_of(key);
    bool url = false;
    size_t slash;

    if (mir_starts_with(key, "http://")) {
        text = mir_span_from(text, strlen("http://"));
        url = true;
    } else if (mir_starts_with(key, "https://")) {
        text = mir_span_from(text, strlen("https://"));
        url = true;
    }
    if ((url || file->whole_hosts) && mir_span_find(text, '/', &slash))
        text = mir_span_first(text, slash);
    return canonical_host(text);
}

bool reg_auth_key_is_host(const struct reg_auth_file *file, const char *key, const char *host)
{
    return mir_span_equal(canonical_key(file, key), canonical_host(mir_span_of(host)));
}

static struct reg_auth_entry *find_exact(const struct reg_auth_file *file, struct mir_span key)
{
    for (size_t i = 0; i < file->count; i++) {
        if (mir_span_is(key, file->entries[i].key))
            return &file->entries[i];
    }
    return NULL;
}

/* Several keys may mean one host: the first with something in it counts. */
static struct reg_auth_entry *find_by_host(const struct reg_auth_file *file, const char *host)
{
    struct reg_auth_entry *empty = NULL;

    for (size_t i = 0; i < file->count; i++) {
        struct reg_auth_entry *entry = &file->entries[i];

        if (!reg_auth_key_is_host(file, entry->key, host))
            continue;
        if (!reg_auth_entry_is_empty(entry))
            return entry;
        empty = empty ? empty : entry;
    }
    return empty;
}

struct reg_auth_entry *reg_auth_file_find(const struct reg_auth_file *file, const char *host,
                                          const char *repo)
{
    auto_free char *whole = file->whole_hosts ? mir_strdup(host) : mir_format("%s/%s", host, repo);
    struct mir_span key = mir_span_of(whole);

    for (;;) {
        struct reg_auth_entry *entry = find_exact(file, key);
        size_t slash;

        if (entry)
            return entry;
        if (!mir_span_find_last(key, '/', &slash))
            return find_by_host(file, host);
        key = mir_span_first(key, slash);
    }
}

/* docker's own name for docker.io is a URL, here as in "auths". */
const char *reg_auth_file_helper(const struct reg_auth_file *file, const char *host)
{
    const char *name = json_string_value(json_object_get(file->helpers, host));
    static const char *const others[] = {REG_DOCKER_IO_URL, "index.docker.io", "docker.io",
                                         "registry-1.docker.io"};

    if (!reg_auth_is_docker_io(host))
        return name;
    for (size_t i = 0; !name && i < sizeof(others) / sizeof(others[0]); i++)
        name = json_string_value(json_object_get(file->helpers, others[i]));
    return name;
}
