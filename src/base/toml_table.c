/*
 * The tables of a TOML document while it is read: adding keys, walking into tables, and the rules
 * for what may be said about a table twice. They follow from how the table came to be:
 *
 *  - implied (only [x.y] was seen, this is x): [x] may still define it, once, and dotted keys may;
 *  - by a header: complete when the next header comes; dotted keys from elsewhere may not reach
 * into it, headers may add tables inside it;
 *  - by a dotted key: other dotted keys of the same section may go on with it (no others can reach
 *    it), headers may add tables inside it, but none may define it;
 *  - inline: complete at its brace. Nothing enters it, and so nothing reaches what is in it.
 *
 * An array made by [[x]] takes more [[x]]; [x.y] means its last table. A written array takes
 * nothing.
 *
 * Finding a key takes about the same time in tables of any size: from INDEX_FROM keys on they have
 * a hash map.
 */
#include "base/toml_priv.h"

#include "base/map.h"
#include "base/mem.h"

#define INDEX_FROM 16

/* ---- making and freeing ---- */

struct mir_toml_table *mir_toml_table_new(enum mir_toml_origin origin, struct mir_toml_place at)
{
    struct mir_toml_table *table = mir_alloc(sizeof(*table));

    table->origin = origin;
    table->at = at;
    return table;
}

static void free_span(struct mir_span span)
{
    void *copy;

    /* Keys and strings are copies of our own, const only for those who read them. */
    memcpy(&copy, &span.ptr, sizeof(copy));
    free(copy);
}

static void release_value(struct mir_toml_value *value)
{
    if (value->kind == MIR_TOML_STRING)
        free_span(value->string);
    else if (value->kind == MIR_TOML_ARRAY)
        mir_toml_array_free(value->array);
    else if (value->kind == MIR_TOML_TABLE)
        mir_toml_table_free(value->table);
}

/* Recursion is bounded by MIR_TOML_DEPTH_MAX, in both. */
void mir_toml_table_free(struct mir_toml_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++) {
        free_span(table->entries[i]->key);
        release_value(&table->entries[i]->value);
        free(table->entries[i]);
    }
    free(table->entries);
    mir_map_free(table->index);
    free(table);
}

void mir_toml_array_free(struct mir_toml_array *array)
{
    if (!array)
        return;
    for (size_t i = 0; i < array->count; i++)
        release_value(&array->items[i]);
    free(array->items);
    free(array);
}

/* ---- limits ---- */

/* Count one value more against the limit. */
static bool count_value(struct mir_toml_reader *r, struct mir_toml_place at)
{
    r->values++;
    if (r->values > MIR_TOML_VALUES_MAX)
        return mir_toml_fail_at(r, at, MIR_E_LIMIT, "more than %d values", MIR_TOML_VALUES_MAX);
    return true;
}

bool mir_toml_check_depth(struct mir_toml_reader *r, struct mir_toml_place at, unsigned depth)
{
    if (depth > MIR_TOML_DEPTH_MAX)
        return mir_toml_fail_at(r, at, MIR_E_LIMIT, "nested deeper than %d levels",
                                MIR_TOML_DEPTH_MAX);
    return true;
}

/* ---- entries and items ---- */

static struct mir_toml_entry *lookup(const struct mir_toml_table *table, struct mir_span key)
{
    if (table->index)
        return mir_map_find(table->index, key);
    for (size_t i = 0; i < table->count; i++)
        if (mir_span_equal(table->entries[i]->key, key))
            return table->entries[i];
    return NULL;
}

const struct mir_toml_entry *mir_toml_find_entry(const struct mir_toml_table *table,
                                                 struct mir_span key)
{
    return lookup(table, key);
}

static void add_to_index(struct mir_toml_table *table, struct mir_toml_entry *entry)
{
    if (!table->index && table->count == INDEX_FROM) {
        table->index = mir_map_new();
        for (size_t i = 0; i < table->count; i++)
            mir_map_set(table->index, table->entries[i]->key, table->entries[i]);
    }
    if (table->index)
        mir_map_set(table->index, entry->key, entry);
}

/* mir_grow(), but for one alone at first: in a document that is all nesting, which is how one gets
 * the most memory out of few bytes, each table and array holds one. */
static void grow(void *array, size_t count, size_t *capacity, size_t size)
{
    void **first = array;

    if (*capacity > 0) {
        mir_grow(array, count, capacity, size);
        return;
    }
    *first = mir_alloc(size);
    *capacity = 1;
}

/* The key is not in the table. The value is an empty string until it is filled in. */
static bool add_entry(struct mir_toml_reader *r, struct mir_toml_table *table,
                      const struct mir_toml_part *part, struct mir_toml_value **value)
{
    struct mir_toml_entry *entry;

    if (!count_value(r, part->at))
        return false;
    entry = mir_alloc(sizeof(*entry));
    entry->key = mir_span(mir_strndup(part->text.ptr, part->text.len), part->text.len);
    entry->key_at = part->at;
    entry->value.at = part->at;
    add_to_index(table, entry);
    grow((void *)&table->entries, table->count, &table->capacity, sizeof(*table->entries));
    table->entries[table->count++] = entry;
    *value = &entry->value;
    return true;
}

bool mir_toml_add_key(struct mir_toml_reader *r, struct mir_toml_table *table,
                      const struct mir_toml_part *part, struct mir_toml_value **value)
{
    const struct mir_toml_entry *there = mir_toml_find_entry(table, part->text);
    struct mir_span shown = mir_toml_shown(part->text);

    if (there)
        return mir_toml_fail_at(r, part->at, MIR_E_FORMAT,
                                "key \"%.*s\" is given twice, first on line %u",
                                MIR_SPAN_ARG(shown), there->key_at.line);
    return add_entry(r, table, part, value);
}

bool mir_toml_add_item(struct mir_toml_reader *r, struct mir_toml_array *array,
                       struct mir_toml_place at, struct mir_toml_value **value)
{
    if (!count_value(r, at))
        return false;
    grow((void *)&array->items, array->count, &array->capacity, sizeof(*array->items));
    *value = &array->items[array->count++];
    **value = (struct mir_toml_value){.at = at};
    return true;
}

/* ---- walking into tables ---- */

/* there is what the part names already. */
static bool fail_part(struct mir_toml_reader *r, const struct mir_toml_part *part,
                      const struct mir_toml_value *there, const char *why)
{
    struct mir_span shown = mir_toml_shown(part->text);
    bool is_inline = there->kind == MIR_TOML_TABLE && there->table->origin == MIR_TOML_INLINE;
    const char *kind = is_inline ? "an inline table" : mir_toml_kind_text(there->kind);

    (void)mir_toml_fail_at(r, part->at, MIR_E_FORMAT, "\"%.*s\" is %s since line %u%s",
                           MIR_SPAN_ARG(shown), kind, there->at.line, why);
    return false;
}

/* A table under a key that is new; *spot moves into it. */
static bool add_table(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                      const struct mir_toml_part *part, enum mir_toml_origin origin,
                      struct mir_toml_place at)
{
    struct mir_toml_value *value;

    if (!mir_toml_check_depth(r, part->at, spot->depth + 1) ||
        !add_entry(r, spot->table, part, &value))
        return false;
    *value = (struct mir_toml_value){
        .kind = MIR_TOML_TABLE, .at = at, .table = mir_toml_table_new(origin, at)};
    spot->table = value->table;
    spot->depth++;
    return true;
}

static struct mir_toml_value *find_value(const struct mir_toml_spot *spot,
                                         const struct mir_toml_part *part)
{
    struct mir_toml_entry *entry = lookup(spot->table, part->text);

    return entry ? &entry->value : NULL;
}

bool mir_toml_enter_dotted(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                           const struct mir_toml_part *part)
{
    struct mir_toml_value *there = find_value(spot, part);

    if (!there)
        return add_table(r, spot, part, MIR_TOML_DOTTED, part->at);
    if (there->kind != MIR_TOML_TABLE)
        return fail_part(r, part, there, "; a dotted key cannot go into it");
    switch (there->table->origin) {
    case MIR_TOML_INLINE:
        return fail_part(r, part, there, ", complete at its brace; nothing can be added");
    case MIR_TOML_HEADER:
        return fail_part(r, part, there, ", by a header; dotted keys cannot add to it");
    case MIR_TOML_IMPLIED:
    case MIR_TOML_DOTTED:
        break;
    }
    there->table->origin = MIR_TOML_DOTTED;
    spot->table = there->table;
    spot->depth++;
    return true;
}

bool mir_toml_enter_header(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                           const struct mir_toml_part *part)
{
    const struct mir_toml_value *there = find_value(spot, part);

    if (!there)
        return add_table(r, spot, part, MIR_TOML_IMPLIED, part->at);
    if (there->kind == MIR_TOML_ARRAY && there->array->has_headers) {
        there = &there->array->items[there->array->count - 1];
        spot->depth++;
    }
    if (there->kind != MIR_TOML_TABLE)
        return fail_part(r, part, there, "; there can be no table inside it");
    if (there->table->origin == MIR_TOML_INLINE)
        return fail_part(r, part, there, ", complete at its brace; nothing can be added");
    spot->table = there->table;
    spot->depth++;
    return true;
}

bool mir_toml_define_table(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                           const struct mir_toml_part *part, struct mir_toml_place at)
{
    struct mir_toml_value *there = find_value(spot, part);

    if (!there)
        return add_table(r, spot, part, MIR_TOML_HEADER, at);
    if (there->kind == MIR_TOML_ARRAY && there->array->has_headers)
        return fail_part(r, part, there, ", of tables; one more of them needs two brackets");
    if (there->kind != MIR_TOML_TABLE)
        return fail_part(r, part, there, "; it cannot be a table too");
    if (there->table->origin == MIR_TOML_DOTTED)
        return fail_part(r, part, there, ", by a dotted key; no header can define it again");
    if (there->table->origin != MIR_TOML_IMPLIED)
        return fail_part(r, part, there, "; it cannot be defined twice");
    there->table->origin = MIR_TOML_HEADER;
    there->table->at = at;
    there->at = at;
    spot->table = there->table;
    spot->depth++;
    return true;
}

/* The array of [[header]], made if need be. */
static bool open_array(struct mir_toml_reader *r, const struct mir_toml_spot *spot,
                       const struct mir_toml_part *part, struct mir_toml_place at,
                       struct mir_toml_array **array)
{
    struct mir_toml_value *there = find_value(spot, part);

    if (!there) {
        if (!add_entry(r, spot->table, part, &there))
            return false;
        *there = (struct mir_toml_value){
            .kind = MIR_TOML_ARRAY, .at = at, .array = mir_alloc(sizeof(*there->array))};
        there->array->has_headers = true;
    }
    if (there->kind != MIR_TOML_ARRAY)
        return fail_part(r, part, there, "; it cannot be an array of tables too");
    if (!there->array->has_headers)
        return fail_part(r, part, there, ", complete at its bracket; nothing can be added");
    *array = there->array;
    return true;
}

bool mir_toml_append_table(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                           const struct mir_toml_part *part, struct mir_toml_place at)
{
    struct mir_toml_array *array = NULL;
    struct mir_toml_value *item;

    if (!mir_toml_check_depth(r, part->at, spot->depth + 2) ||
        !open_array(r, spot, part, at, &array) || !mir_toml_add_item(r, array, at, &item))
        return false;
    *item = (struct mir_toml_value){
        .kind = MIR_TOML_TABLE, .at = at, .table = mir_toml_table_new(MIR_TOML_HEADER, at)};
    spot->table = item->table;
    spot->depth += 2;
    return true;
}
