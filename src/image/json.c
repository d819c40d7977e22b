/*
 * Members of JSON objects, for the descriptor and manifest parsers. Errors name the member.
 */
#include "image/json_priv.h"

#include <stdint.h>
#include <strings.h>

#include "image/text_priv.h"

const json_t *img_json_find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static bool check_key(const char *key, const char *const *names, struct mir_error *err)
{
    for (; *names; names++) {
        if (strcmp(key, *names) != 0 && strcasecmp(key, *names) == 0)
            return mir_fail(err, MIR_E_FORMAT,
                            "'%s' is not '%s', but some clients take it for that", key, *names);
    }
    return true;
}

bool img_json_check_case(const json_t *object, const char *const *names, struct mir_error *err)
{
    /* Jansson's iterators take no const object, though they only read. */
    json_t *walked = (json_t *)(uintptr_t)object; // NOLINT(performance-no-int-to-ptr)
    const char *key;
    json_t *value;

    json_object_foreach (walked, key, value) {
        if (!check_key(key, names, err))
            return false;
    }
    return true;
}

bool img_json_text(const json_t *object, const char *key, size_t max, const char **out,
                   struct mir_error *err)
{
    const json_t *value = img_json_find(object, key);
    struct mir_span text;

    if (!value) {
        *out = "";
        return true;
    }
    if (!json_is_string(value))
        return mir_fail(err, MIR_E_FORMAT, "%s is not a string", key);
    text = mir_span(json_string_value(value), json_string_length(value));
    if (text.len > max)
        return mir_fail(err, MIR_E_FORMAT, "%s has %zu bytes; at most %zu are allowed", key,
                        text.len, max);
    if (!img_is_printable(text))
        return mir_fail(err, MIR_E_FORMAT, "%s '%s' holds control or non-ASCII characters", key,
                        img_show(text).text);
    *out = text.ptr;
    return true;
}
