/*
 * Findings: collecting them, and putting them into words for people and programs. An error is a
 * finding too, and the struct mir_error of the call that failed.
 *
 * Where a value stood is looked up here (place.c), so that the steps of the compiler hand on no
 * more than the object, the field and the value.
 */
#include "icsp/findings.h"

#include <stdarg.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "icsp/findings_priv.h"

#define TEXT_MAX_BYTES 4096
#define LINE_MAX_BYTES (64u << 10)

static struct icsp_finding *append(struct icsp_findings *findings, enum icsp_severity severity,
                                   const struct icsp_place *place, const char *hint)
{
    const char *object = place->object ? place->object->name : place->label;
    struct icsp_finding *finding;

    mir_grow(&findings->items, findings->count, &findings->capacity, sizeof(*findings->items));
    finding = &findings->items[findings->count++];
    *finding = (struct icsp_finding){
        .severity = severity,
        .rule = mir_strdup(place->rule),
        .object = mir_strdup(object),
        .value = mir_strdup(place->value),
        .file = mir_strdup(place->object ? place->object->file : NULL),
        .hint = mir_strdup(hint),
    };
    icsp_place_find(place, &finding->field, &finding->line);
    return finding;
}

__attribute__((format(printf, 1, 0))) static char *format_text(const char *fmt, va_list args)
{
    char text[TEXT_MAX_BYTES];

    (void)vsnprintf(text, sizeof(text), fmt, args);
    return mir_strdup(text);
}

void icsp_say(struct icsp_findings *findings, enum icsp_severity severity, struct icsp_place place,
              const char *hint, const char *fmt, ...)
{
    struct icsp_finding *finding = append(findings, severity, &place, hint);
    va_list args;

    va_start(args, fmt);
    finding->text = format_text(fmt, args);
    va_end(args);
}

bool icsp_reject(struct icsp_findings *findings, struct mir_error *err, enum mir_code code,
                 struct icsp_place place, const char *hint, const char *fmt, ...)
{
    struct icsp_finding *finding = append(findings, ICSP_ERROR, &place, hint);
    auto_free char *line = NULL;
    va_list args;

    va_start(args, fmt);
    finding->text = format_text(fmt, args);
    va_end(args);
    line = icsp_finding_format(finding);
    (void)mir_fail(err, code, "%s", line);
    return hint ? mir_hint(err, "%s", hint) : false;
}

/* "FILE:LINE:COLUMN: " in front of text; NULL when it is not there, else what follows. */
static const char *cut_position(const char *text, const char *file, unsigned *line)
{
    size_t len = strlen(file);
    char *end;
    unsigned long number;

    if (strncmp(text, file, len) != 0 || text[len] != ':')
        return NULL;
    number = strtoul(text + len + 1, &end, 10);
    if (end == text + len + 1 || number == 0 || number > UINT32_MAX)
        return NULL;
    if (*end == ':')
        (void)strtoul(end + 1, &end, 10);
    *line = (unsigned)number;
    return mir_starts_with(end, ": ") ? end + 2 : NULL;
}

void icsp_findings_add_error(struct icsp_findings *findings, const char *file,
                             const struct mir_error *err)
{
    struct icsp_place place = {.rule = "unreadable"};
    struct icsp_finding *finding =
        append(findings, ICSP_ERROR, &place, err->hint[0] ? err->hint : NULL);
    const char *rest = file ? cut_position(err->text, file, &finding->line) : NULL;

    finding->file = mir_strdup(file);
    finding->text = mir_strdup(rest ? rest : err->text);
}

/* ---- in words ---- */

char *icsp_finding_format(const struct icsp_finding *finding)
{
    auto_buf line;

    mir_buf_init(&line, LINE_MAX_BYTES);
    if (finding->file && finding->line > 0)
        mir_buf_printf(&line, "%s:%u: ", finding->file, finding->line);
    else if (finding->file)
        mir_buf_printf(&line, "%s: ", finding->file);
    if (finding->object)
        mir_buf_printf(&line, "%s: ", finding->object);
    if (finding->field)
        mir_buf_printf(&line, "%s: ", finding->field);
    if (finding->value)
        mir_buf_printf(&line, "\"%.300s\": ", finding->value);
    mir_buf_text(&line, finding->text);
    return mir_buf_take(&line);
}

static const char *severity_name(enum icsp_severity severity)
{
    switch (severity) {
    case ICSP_DETAIL:
        return "detail";
    case ICSP_NOTE:
        return "note";
    case ICSP_WARNING:
        return "warning";
    case ICSP_ERROR:
        break;
    }
    return "error";
}

/* Members that do not apply are left out. A text cut within a character is no UTF-8 any more. */
static void set_text(json_t *object, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : NULL;

    if (text && !value)
        value = json_string_nocheck("(not UTF-8)");
    if (value)
        json_object_set_new(object, key, value);
}

static json_t *finding_json(const struct icsp_finding *finding)
{
    json_t *object = json_object();

    set_text(object, "severity", severity_name(finding->severity));
    set_text(object, "rule", finding->rule);
    set_text(object, "file", finding->file);
    if (finding->line > 0)
        json_object_set_new(object, "line", json_integer(finding->line));
    set_text(object, "object", finding->object);
    set_text(object, "path", finding->field);
    set_text(object, "value", finding->value);
    set_text(object, "text", finding->text);
    set_text(object, "hint", finding->hint);
    return object;
}

json_t *icsp_findings_json(const struct icsp_findings *findings)
{
    json_t *list = json_array();
    json_int_t errors = 0;
    json_int_t warnings = 0;

    for (size_t i = 0; i < findings->count; i++) {
        errors += findings->items[i].severity == ICSP_ERROR;
        warnings += findings->items[i].severity == ICSP_WARNING;
        json_array_append_new(list, finding_json(&findings->items[i]));
    }
    return json_pack("{s:i, s:b, s:I, s:I, s:o}", "version", 1, "rejected", errors > 0, "errors",
                     errors, "warnings", warnings, "findings", list);
}

void icsp_findings_release(struct icsp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct icsp_finding *finding = &findings->items[i];

        free(finding->rule);
        free(finding->object);
        free(finding->field);
        free(finding->value);
        free(finding->file);
        free(finding->text);
        free(finding->hint);
    }
    free(findings->items);
    *findings = (struct icsp_findings){0};
}

bool icsp_refuse_line(struct mir_error *err, const char *name, unsigned line, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (line > 0)
        return mir_fail(err, MIR_E_FORMAT, "%s:%u: %s", name, line, text);
    return mir_fail(err, MIR_E_FORMAT, "%s: %s", name, text);
}
