/*
 * From object, field and value to a full path and a line: the field is followed through the object
 * as it was read, and where it ends at a list or an object, the member that the value stands for is
 * looked for. What is not there (a missing entry, a merge of several objects) has the line of the
 * nearest thing around it.
 */
#include "icsp/findings_priv.h"

#include "base/mem.h"

/* Where we are on the way down. */
struct step {
    const struct mir_lines *lines;
    json_t *value; /* NULL: not there */
    unsigned line;
};

static void go_to_item(struct step *step, size_t index)
{
    unsigned line = mir_lines_item(step->lines, step->value, index);

    step->value = json_array_get(step->value, index);
    if (step->value && line > 0)
        step->line = line;
}

static void go_to_member(struct step *step, const char *key)
{
    unsigned line = mir_lines_member(step->lines, step->value, key);

    step->value = json_object_get(step->value, key);
    if (step->value && line > 0)
        step->line = line;
}

/* "[2]" or "["key"]": what follows it, or NULL when it is neither. */
static const char *follow_bracket(struct step *step, const char *at)
{
    char *end;
    size_t index;

    if (at[1] == '"') {
        const char *close = strstr(at + 2, "\"]");
        auto_free char *key = close ? mir_strndup(at + 2, (size_t)(close - at - 2)) : NULL;

        if (key)
            go_to_member(step, key);
        return close ? close + 2 : NULL;
    }
    index = strtoul(at + 1, &end, 10);
    if (end == at + 1 || *end != ']')
        return NULL;
    go_to_item(step, index);
    return end + 1;
}

/* Along "a.b[2].c". */
static void follow(struct step *step, const char *field)
{
    while (field && *field && step->value) {
        size_t len = strcspn(field, ".[");
        auto_free char *key = NULL;

        if (*field == '[') {
            field = follow_bracket(step, field);
            continue;
        }
        if (len > 0) {
            key = mir_strndup(field, len);
            go_to_member(step, key);
        }
        field += len > 0 ? len : 1;
    }
}

/* The item of a list that the value is, by identity first: equal texts may stand in it twice. */
static bool find_item(const json_t *list, const char *value, size_t *index)
{
    const json_t *item;
    size_t i;

    json_array_foreach (list, i, item)
        if (json_string_value(item) == value) {
            *index = i;
            return true;
        }
    json_array_foreach (list, i, item)
        if (json_is_string(item) && strcmp(json_string_value(item), value) == 0) {
            *index = i;
            return true;
        }
    return false;
}

void icsp_place_find(const struct icsp_place *place, char **path, unsigned *line)
{
    struct step step = {0};
    size_t index;

    *path = mir_strdup(place->field);
    *line = 0;
    if (!place->object)
        return;
    step.lines = place->object->lines;
    step.value = place->object->tree;
    step.line = place->object->line;
    follow(&step, place->field);
    if (step.value && place->value && find_item(step.value, place->value, &index)) {
        free(*path);
        *path = mir_format("%s[%zu]", place->field, index);
        go_to_item(&step, index);
    }
    *line = step.line;
}
