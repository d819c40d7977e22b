/*
 * Any bytes as TOML: read without a crash, refused with a place that the text has, and what was
 * read survives being written (all of it inline, every string escaped) and read again. What is
 * found by its key is what stands under it.
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/toml.h"

#define TEXT_MAX (24u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_value(const struct mir_toml_value *value, struct mir_buf *out);

static void write_string(struct mir_span text, struct mir_buf *out)
{
    mir_buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            mir_buf_printf(out, "\\u%04x", c);
        else
            mir_buf_char(out, (char)c);
    }
    mir_buf_char(out, '"');
}

static void write_float(double number, struct mir_buf *out)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%.17g", number);
    mir_buf_text(out, isnan(number) ? "nan" : text);
    if (!isnan(number) && !isinf(number) && !strpbrk(text, ".e"))
        mir_buf_text(out, ".0");
}

static void write_time(const struct mir_toml_value *value, struct mir_buf *out)
{
    const struct mir_toml_time *t = &value->time;
    int offset = t->offset_minutes;

    if (value->kind != MIR_TOML_LOCAL_TIME)
        mir_buf_printf(out, "%04u-%02u-%02u", t->year, t->month, t->day);
    if (value->kind == MIR_TOML_LOCAL_DATE)
        return;
    if (value->kind != MIR_TOML_LOCAL_TIME)
        mir_buf_char(out, 'T');
    mir_buf_printf(out, "%02u:%02u:%02u.%09" PRIu32, t->hour, t->minute, t->second, t->nanosecond);
    if (value->kind == MIR_TOML_OFFSET_DATETIME)
        mir_buf_printf(out, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 60,
                       abs(offset) % 60);
}

static void write_array(const struct mir_toml_array *array, struct mir_buf *out)
{
    mir_buf_char(out, '[');
    for (size_t i = 0; i < array->count; i++) {
        write_value(&array->items[i], out);
        mir_buf_char(out, ',');
    }
    mir_buf_char(out, ']');
}

static void write_pairs(const struct mir_toml_table *table, char between, struct mir_buf *out)
{
    for (size_t i = 0; i < table->count; i++) {
        if (i > 0)
            mir_buf_char(out, between);
        write_string(table->entries[i]->key, out);
        mir_buf_char(out, '=');
        write_value(&table->entries[i]->value, out);
    }
}

static void write_value(const struct mir_toml_value *value, struct mir_buf *out)
{
    switch (value->kind) {
    case MIR_TOML_STRING:
        write_string(value->string, out);
        break;
    case MIR_TOML_INTEGER:
        mir_buf_printf(out, "%" PRId64, value->integer);
        break;
    case MIR_TOML_FLOAT:
        write_float(value->number, out);
        break;
    case MIR_TOML_BOOLEAN:
        mir_buf_text(out, value->boolean ? "true" : "false");
        break;
    case MIR_TOML_OFFSET_DATETIME:
    case MIR_TOML_LOCAL_DATETIME:
    case MIR_TOML_LOCAL_DATE:
    case MIR_TOML_LOCAL_TIME:
        write_time(value, out);
        break;
    case MIR_TOML_ARRAY:
        write_array(value->array, out);
        break;
    case MIR_TOML_TABLE:
        mir_buf_char(out, '{');
        write_pairs(value->table, ',', out);
        mir_buf_char(out, '}');
        break;
    }
}

static size_t count_lines(const uint8_t *data, size_t size)
{
    size_t lines = 1;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

/* Places are inside the text, keys are found, strings end in NUL. */
static void check_table(const struct mir_toml_table *table, size_t lines)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mir_toml_entry *entry = table->entries[i];
        const struct mir_toml_value *value = &entry->value;

        assert(mir_toml_find_entry(table, entry->key) == entry);
        assert(entry->key.ptr[entry->key.len] == '\0');
        assert(entry->key_at.line >= 1 && entry->key_at.line <= lines && entry->key_at.column >= 1);
        assert(value->at.line >= 1 && value->at.line <= lines && value->at.column >= 1);
        if (value->kind == MIR_TOML_STRING)
            assert(value->string.ptr[value->string.len] == '\0');
        if (value->kind == MIR_TOML_TABLE)
            check_table(value->table, lines);
        if (value->kind == MIR_TOML_ARRAY)
            for (size_t k = 0; k < value->array->count; k++)
                if (value->array->items[k].kind == MIR_TOML_TABLE)
                    check_table(value->array->items[k].table, lines);
    }
}

static void check_again(const struct mir_toml *doc)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *again = NULL;
    auto_buf first;
    auto_buf second;

    mir_buf_init(&first, TEXT_MAX);
    mir_buf_init(&second, TEXT_MAX);
    write_pairs(mir_toml_root(doc), '\n', &first);
    if (first.overflow)
        return;
    if (!mir_toml_parse(mir_buf_span(&first), "again", &again, &err)) {
        (void)fprintf(stderr, "%s\n%s\n", err.text, first.ptr);
        abort();
    }
    write_pairs(mir_toml_root(again), '\n', &second);
    if (!mir_span_equal(mir_buf_span(&first), mir_buf_span(&second))) {
        (void)fprintf(stderr, "changed by writing:\n%s\n%s\n", first.ptr, second.ptr);
        abort();
    }
}

static void check_refusal(const struct mir_error *err, size_t lines)
{
    char *end;
    unsigned long line;

    assert(err->code == MIR_E_FORMAT || err->code == MIR_E_LIMIT);
    assert(mir_starts_with(err->text, "fuzz:"));
    line = strtoul(err->text + 5, &end, 10);
    assert(line >= 1 && line <= lines && *end == ':');
    assert(strtoul(end + 1, &end, 10) >= 1);
    assert(mir_starts_with(end, ": ") && end[2] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_toml *doc = NULL;
    size_t lines = count_lines(data, size);

    if (!mir_toml_parse(mir_span(data, size), "fuzz", &doc, &err)) {
        check_refusal(&err, lines);
        return 0;
    }
    check_table(mir_toml_root(doc), lines);
    check_again(doc);
    return 0;
}
