/*
 * The forms of a secret, and looking for them.
 */
#include "lib/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "lib/scratch.h"

/* Taken; without what may be missing at its end. Forms that are there already are not doubled. */
static void add_form(struct secrets *secrets, char *form)
{
    size_t len = strlen(form);

    while (len > 0 && form[len - 1] == '=')
        form[--len] = '\0';
    for (size_t i = 0; i < secrets->count; i++) {
        if (strcmp(secrets->forms[i], form) == 0) {
            free(form);
            return;
        }
    }
    if (secrets->count == SECRETS_FORMS_MAX || len < 4)
        scratch_die("no secret to look for: %s", form);
    secrets->forms[secrets->count++] = form;
}

/* Everything but letters and digits as %XX, or only what a URL must not have. */
static char *percent(const char *text, const char *plain, const char *format)
{
    struct mir_buf out;

    mir_buf_init(&out, 1u << 20);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr(plain, *text);
        char code[4];

        (void)snprintf(code, sizeof(code), "%%%02X", c);
        if (format[0] == 'x')
            (void)snprintf(code, sizeof(code), "%%%02x", c);
        mir_buf_printf(&out, "%s", is_plain ? (char[2]){*text, '\0'} : code);
    }
    return mir_buf_take(&out);
}

static void add_base64(struct secrets *secrets, const char *text)
{
    char *code = mir_base64_encode(mir_span_of(text));
    char *for_urls = mir_strdup(code);

    for (char *c = for_urls; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    add_form(secrets, code);
    add_form(secrets, for_urls);
}

void secrets_add(struct secrets *secrets, const char *secret)
{
    static const char *const plain[] = {"", "-._~", "-._~:/,", "-._~!$&'()*+,;=:@/?"};

    add_form(secrets, mir_strdup(secret));
    add_base64(secrets, secret);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        add_form(secrets, percent(secret, plain[i], "X"));
        add_form(secrets, percent(secret, plain[i], "x"));
    }
}

void secrets_add_login(struct secrets *secrets, const char *user, const char *password)
{
    auto_free char *pair = mir_format("%s:%s", user, password);

    secrets_add(secrets, password);
    add_base64(secrets, pair);
}

void secrets_release(struct secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++)
        free(secrets->forms[i]);
    secrets->count = 0;
}

const char *secrets_in(const struct secrets *secrets, struct mir_span bytes)
{
    for (size_t i = 0; i < secrets->count; i++) {
        if (bytes.ptr && memmem(bytes.ptr, bytes.len, secrets->forms[i], strlen(secrets->forms[i])))
            return secrets->forms[i];
    }
    return NULL;
}

static void must_lack(const char *file, int line, const struct secrets *secrets, const char *where,
                      struct mir_span said)
{
    const char *found = secrets_in(secrets, said);

    if (!found)
        return;
    print_error("\"%s\" is in %s:\n%.*s\n", found, where, MIR_SPAN_ARG(said));
    _fail(file, line);
}

void must_keep_secrets_at(const char *file, int line, const struct secrets *secrets,
                          struct reg_bench *bench)
{
    must_lack(file, line, secrets, "the error", mir_span_of(bench->err.text));
    must_lack(file, line, secrets, "the hint", mir_span_of(bench->err.hint));
    must_lack(file, line, secrets, "the log", mir_buf_span(&bench->log));
}

void must_not_reach_at(const char *file, int line, const struct secrets *secrets,
                       struct server *server)
{
    static const char *const headers[] = {"Authorization", "Proxy-Authorization", "Cookie"};

    for (size_t n = 0; n < server_count(server, NULL, NULL); n++) {
        const struct server_request *request = server_request(server, NULL, NULL, n);

        must_lack(file, line, secrets, "a path", mir_span_of(request->path));
        must_lack(file, line, secrets, "the headers", mir_span_of(request->headers));
        must_lack(file, line, secrets, "a body", mir_span(request->body, request->body_len));
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
            auto_free char *value = server_header(request, headers[i]);

            if (!value)
                continue;
            print_error("%s was sent to another host\n", headers[i]);
            _fail(file, line);
        }
    }
}
