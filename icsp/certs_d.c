/*
 * certs.d: every key of the trusted-CA ConfigMaps is a host, ".." standing for the ':' before its
 * port; its value is the certificate bundle that nodes trust for that host. The managed ConfigMap
 * comes first; a later entry for the same host replaces an earlier one.
 */
#include "icsp/certs_priv.h"

#include "base/mem.h"
#include "icsp/binary_priv.h"
#include "icsp/files_priv.h"
#include "icsp/findings_priv.h"

#define KEY_MAX_BYTES 253

struct certs {
    const struct icsp_config_map *map;
    struct icsp_files *files;
    struct icsp_findings *findings;
    struct mir_error *err;
};

static const struct icsp_config_map *find_map(const struct icsp_objects *objects, const char *ns,
                                              const char *name)
{
    for (size_t i = 0; i < objects->map_count; i++)
        if (strcmp(objects->maps[i].ns, ns) == 0 && strcmp(objects->maps[i].name, name) == 0)
            return &objects->maps[i];
    return NULL;
}

/* The key becomes the name of a folder: what the API server does not let through must not either.
 */
static bool is_key(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < len; i++)
        if (!strchr("-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", key[i]))
            return false;
    return len > 0 && len <= KEY_MAX_BYTES && strcmp(key, ".") != 0;
}

static char *path_of(const char *key)
{
    struct mir_buf path;

    mir_buf_init(&path, 1024);
    mir_buf_text(&path, "etc/docker/certs.d/");
    for (; *key; key++) {
        bool port = key[0] == '.' && key[1] == '.';

        mir_buf_char(&path, port ? ':' : *key);
        key += port;
    }
    mir_buf_text(&path, "/ca.crt");
    return mir_buf_take(&path);
}

static bool reject_key(const struct certs *c, const char *field, const char *key)
{
    auto_free char *at = mir_format("%s[\"%s\"]", field, key);
    struct icsp_place place = {
        .object = c->map->object, .field = at, .value = key, .rule = "certificate-key"};

    return icsp_reject(c->findings, c->err, MIR_E_FORMAT, place,
                       "write the port as HOST..PORT, as in registry.example.com..5000",
                       "a key is a host of letters, digits, '-', '_' and '.'");
}

static bool add_entry(const struct certs *c, const char *field, const char *key, const char *value,
                      bool binary)
{
    auto_free char *path = NULL;
    auto_free char *bytes = NULL;
    size_t len;

    if (!is_key(key))
        return reject_key(c, field, key);
    path = path_of(key);
    if (icsp_base64_decode(value, &bytes, &len)) {
        icsp_files_set(c->files, path, mir_span(bytes, len));
        return true;
    }
    if (binary) {
        auto_free char *at = mir_format("%s[\"%s\"]", field, key);
        struct icsp_place place = {
            .object = c->map->object, .field = at, .rule = "certificate-data"};

        return icsp_reject(c->findings, c->err, MIR_E_FORMAT, place,
                           "put PEM text into data, or through base64", "not valid base64");
    }
    icsp_files_set(c->files, path, mir_span_of(value));
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All entries of data or binaryData, keys in byte order. */
static bool add_entries(const struct certs *c, json_t *entries, const char *field, bool binary)
{
    auto_free const char **keys = mir_alloc_array(json_object_size(entries), sizeof(*keys));
    const char *key;
    const json_t *value;
    size_t count = 0;

    json_object_foreach (entries, key, value) {
        (void)value;
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < count; i++)
        if (!add_entry(c, field, keys[i], json_string_value(json_object_get(entries, keys[i])),
                       binary))
            return false;
    return true;
}

static bool add_map(struct certs *c, const struct icsp_config_map *map)
{
    c->map = map;
    return add_entries(c, map->data, "data", false) &&
           add_entries(c, map->binary, "binaryData", true);
}

bool icsp_certs(const struct icsp_objects *objects, struct icsp_files *files,
                struct icsp_findings *findings, struct mir_error *err)
{
    struct certs c = {.files = files, .findings = findings, .err = err};
    const struct icsp_config_map *managed =
        find_map(objects, "openshift-config-managed", "image-registry-ca");
    const struct icsp_config_map *user;

    if (managed && !add_map(&c, managed))
        return false;
    if (!objects->image.trusted_ca || !*objects->image.trusted_ca)
        return true;
    user = find_map(objects, "openshift-config", objects->image.trusted_ca);
    if (user)
        return add_map(&c, user);
    icsp_say(findings, ICSP_WARNING,
             (struct icsp_place){.object = objects->image.object,
                                 .field = "spec.additionalTrustedCA.name",
                                 .value = objects->image.trusted_ca,
                                 .rule = "no-config-map"},
             "give the ConfigMap too",
             "no such ConfigMap in namespace openshift-config: no CA is installed");
    return true;
}
