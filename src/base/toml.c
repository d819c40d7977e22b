/*
 * What users of a TOML document hold: the document itself, finding keys, and getters that say where
 * a value of the wrong type stands. Reading is in toml_parse.c and the files named there.
 */
#include "base/toml.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/toml_priv.h"

struct mir_toml {
    char *name;
    struct mir_toml_table *root;
};

bool mir_toml_parse(struct mir_span text, const char *name, struct mir_toml **out,
                    struct mir_error *err)
{
    auto_toml *doc = mir_alloc(sizeof(*doc));

    doc->name = mir_strdup(name);
    doc->root =
        mir_toml_table_new(MIR_TOML_HEADER, (struct mir_toml_place){.line = 1, .column = 1});
    if (!mir_toml_read(text, doc->name, doc->root, err))
        return false;
    *out = mir_steal(&doc);
    return true;
}

void mir_toml_free(struct mir_toml *doc)
{
    if (!doc)
        return;
    mir_toml_table_free(doc->root);
    free(doc->name);
    free(doc);
}

void mir_toml_auto_free(struct mir_toml **doc)
{
    mir_toml_free(*doc);
}

const struct mir_toml_table *mir_toml_root(const struct mir_toml *doc)
{
    return doc->root;
}

const char *mir_toml_name(const struct mir_toml *doc)
{
    return doc->name;
}

const struct mir_toml_value *mir_toml_find(const struct mir_toml_table *table, const char *key)
{
    const struct mir_toml_entry *entry = mir_toml_find_entry(table, mir_span_of(key));

    return entry ? &entry->value : NULL;
}

const char *mir_toml_kind_text(enum mir_toml_kind kind)
{
    switch (kind) {
    case MIR_TOML_STRING:
        return "a string";
    case MIR_TOML_INTEGER:
        return "an integer";
    case MIR_TOML_FLOAT:
        return "a float";
    case MIR_TOML_BOOLEAN:
        return "a boolean";
    case MIR_TOML_OFFSET_DATETIME:
        return "a date-time with an offset";
    case MIR_TOML_LOCAL_DATETIME:
        return "a local date-time";
    case MIR_TOML_LOCAL_DATE:
        return "a local date";
    case MIR_TOML_LOCAL_TIME:
        return "a local time";
    case MIR_TOML_ARRAY:
        return "an array";
    case MIR_TOML_TABLE:
        return "a table";
    }
    return "a value";
}

bool mir_toml_fail(const struct mir_toml *doc, struct mir_toml_place at, struct mir_error *err,
                   const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return mir_fail(err, MIR_E_FORMAT, "%s:%u:%u: %s", doc->name, at.line, at.column, text);
}

/* ---- getters ---- */

/* item says which item of an array it is; nothing for the value of the key itself. */
static bool check_value(const struct mir_toml *doc, const char *key, const char *item,
                        const struct mir_toml_value *value, enum mir_toml_kind kind,
                        struct mir_error *err)
{
    if (value->kind != kind)
        return mir_toml_fail(doc, value->at, err, "%s: expected %s%s, found %s", key,
                             mir_toml_kind_text(kind), item, mir_toml_kind_text(value->kind));
    if (kind == MIR_TOML_STRING && strlen(value->string.ptr) != value->string.len)
        return mir_toml_fail(doc, value->at, err, "%s: a string with a NUL in it", key);
    return true;
}

/* *value is NULL when the key is not there. */
static bool find_checked(const struct mir_toml *doc, const struct mir_toml_table *table,
                         const char *key, enum mir_toml_kind kind,
                         const struct mir_toml_value **value, struct mir_error *err)
{
    *value = mir_toml_find(table, key);
    return !*value || check_value(doc, key, "", *value, kind, err);
}

bool mir_toml_get_string(const struct mir_toml *doc, const struct mir_toml_table *table,
                         const char *key, const char **out, struct mir_error *err)
{
    const struct mir_toml_value *value;

    if (!find_checked(doc, table, key, MIR_TOML_STRING, &value, err))
        return false;
    if (value)
        *out = value->string.ptr;
    return true;
}

bool mir_toml_get_integer(const struct mir_toml *doc, const struct mir_toml_table *table,
                          const char *key, int64_t *out, struct mir_error *err)
{
    const struct mir_toml_value *value;

    if (!find_checked(doc, table, key, MIR_TOML_INTEGER, &value, err))
        return false;
    if (value)
        *out = value->integer;
    return true;
}

bool mir_toml_get_float(const struct mir_toml *doc, const struct mir_toml_table *table,
                        const char *key, double *out, struct mir_error *err)
{
    const struct mir_toml_value *value;

    if (!find_checked(doc, table, key, MIR_TOML_FLOAT, &value, err))
        return false;
    if (value)
        *out = value->number;
    return true;
}

bool mir_toml_get_boolean(const struct mir_toml *doc, const struct mir_toml_table *table,
                          const char *key, bool *out, struct mir_error *err)
{
    const struct mir_toml_value *value;

    if (!find_checked(doc, table, key, MIR_TOML_BOOLEAN, &value, err))
        return false;
    if (value)
        *out = value->boolean;
    return true;
}

bool mir_toml_get_table(const struct mir_toml *doc, const struct mir_toml_table *table,
                        const char *key, const struct mir_toml_table **out, struct mir_error *err)
{
    const struct mir_toml_value *value;

    if (!find_checked(doc, table, key, MIR_TOML_TABLE, &value, err))
        return false;
    if (value)
        *out = value->table;
    return true;
}

bool mir_toml_get_array_of(const struct mir_toml *doc, const struct mir_toml_table *table,
                           const char *key, enum mir_toml_kind kind,
                           const struct mir_toml_array **out, struct mir_error *err)
{
    const struct mir_toml_value *value;

    if (!find_checked(doc, table, key, MIR_TOML_ARRAY, &value, err))
        return false;
    if (!value)
        return true;
    for (size_t i = 0; i < value->array->count; i++)
        if (!check_value(doc, key, " in the array", &value->array->items[i], kind, err))
            return false;
    *out = value->array;
    return true;
}

bool mir_toml_require(const struct mir_toml *doc, const struct mir_toml_table *table,
                      const char *key, struct mir_error *err)
{
    if (!mir_toml_find(table, key))
        return mir_toml_fail(doc, table->at, err, "%s is missing", key);
    return true;
}
