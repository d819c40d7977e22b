/*
 * Findings: everything the compiler has to say, each about one place, so that the command line can
 * print them for people or for machines. An error is a finding too, and the struct mir_error of the
 * call that failed.
 */
#include "icsp/findings_priv.h"

#include <stdarg.h>

#include "base/buf.h"
#include "base/mem.h"

#define LINE_MAX_BYTES 4096

static struct icsp_finding *append(struct icsp_findings *findings, enum icsp_severity severity,
                                   struct icsp_place place, const char *hint)
{
    struct icsp_finding *finding;

    mir_grow(&findings->items, findings->count, &findings->capacity, sizeof(*findings->items));
    finding = &findings->items[findings->count++];
    *finding = (struct icsp_finding){
        .severity = severity,
        .object = mir_strdup(place.object),
        .field = mir_strdup(place.field),
        .value = mir_strdup(place.value),
        .hint = mir_strdup(hint),
    };
    return finding;
}

__attribute__((format(printf, 1, 0))) static char *format_text(const char *fmt, va_list args)
{
    char text[LINE_MAX_BYTES];

    (void)vsnprintf(text, sizeof(text), fmt, args);
    return mir_strdup(text);
}

void icsp_say(struct icsp_findings *findings, enum icsp_severity severity, struct icsp_place place,
              const char *hint, const char *fmt, ...)
{
    struct icsp_finding *finding = append(findings, severity, place, hint);
    va_list args;

    va_start(args, fmt);
    finding->text = format_text(fmt, args);
    va_end(args);
}

bool icsp_reject(struct icsp_findings *findings, struct mir_error *err, enum mir_code code,
                 struct icsp_place place, const char *hint, const char *fmt, ...)
{
    struct icsp_finding *finding = append(findings, ICSP_ERROR, place, hint);
    auto_free char *line = NULL;
    va_list args;

    va_start(args, fmt);
    finding->text = format_text(fmt, args);
    va_end(args);
    line = icsp_finding_format(finding);
    (void)mir_fail(err, code, "%s", line);
    return hint ? mir_hint(err, "%s", hint) : false;
}

char *icsp_finding_format(const struct icsp_finding *finding)
{
    auto_buf line;

    mir_buf_init(&line, (size_t)2 * LINE_MAX_BYTES);
    if (finding->object)
        mir_buf_printf(&line, "%s: ", finding->object);
    if (finding->field)
        mir_buf_printf(&line, "%s: ", finding->field);
    if (finding->value)
        mir_buf_printf(&line, "\"%.300s\": ", finding->value);
    mir_buf_text(&line, finding->text);
    return mir_buf_take(&line);
}

void icsp_findings_release(struct icsp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct icsp_finding *finding = &findings->items[i];

        free(finding->object);
        free(finding->field);
        free(finding->value);
        free(finding->text);
        free(finding->hint);
    }
    free(findings->items);
    *findings = (struct icsp_findings){0};
}
