/*
 * WWW-Authenticate: which schemes a registry offers, and for Bearer where tokens come from. Called
 * by call.c for every 401.
 *
 * Grammar: RFC 9110 section 11. Scheme, then token68 or parameters; a comma separates parameters
 * and challenges alike, so a word is a scheme unless "=" follows. Everything is bounded: the header
 * comes from whoever answers. What is merely malformed is read as far as it goes, as other clients
 * do; what is over a limit is no accident, and nothing of it counts.
 */
#include "registry/registry_priv.h"

#include <strings.h>

#define HEADERS_MAX 8 /* WWW-Authenticate lines of one answer that are read */

struct scanner {
    const char *at;
    const char *end;
    size_t params;
    struct reg_challenge *out;
    bool into_bearer; /* parameters belong to the Bearer challenge that counts */
};

/* All but Basic. */
static void forget_bearer(struct reg_challenge *challenge)
{
    const struct reg_challenge rest = {.has_basic = challenge->has_basic};

    free(challenge->realm);
    free(challenge->service);
    free(challenge->scope);
    free(challenge->error);
    *challenge = rest;
}

void reg_challenge_release(struct reg_challenge *challenge)
{
    forget_bearer(challenge);
    challenge->has_basic = false;
}

static bool is_token_char(char c)
{
    return c != '\0' &&
           strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                  c) != NULL;
}

static void skip_blanks(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
        s->at++;
}

static void skip_separators(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == ','))
        s->at++;
}

static struct mir_span scan_token(struct scanner *s)
{
    const char *start = s->at;

    while (s->at < s->end && is_token_char(*s->at))
        s->at++;
    return mir_span(start, (size_t)(s->at - start));
}

static bool scan_quoted(struct scanner *s, struct mir_buf *out, struct mir_error *err)
{
    for (s->at++; s->at < s->end; s->at++) {
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        if (*s->at == '\\' && s->at + 1 < s->end)
            s->at++;
        mir_buf_char(out, *s->at);
    }
    return mir_fail(err, MIR_E_PROTOCOL, "WWW-Authenticate: a quote is not closed");
}

static char **slot_of(struct scanner *s, struct mir_span name)
{
    static const char *const names[] = {"realm", "service", "scope", "error"};
    char **const slots[] = {&s->out->realm, &s->out->service, &s->out->scope, &s->out->error};

    for (size_t i = 0; i < 4; i++) {
        if (name.len == strlen(names[i]) && strncasecmp(name.ptr, names[i], name.len) == 0)
            return slots[i];
    }
    return NULL;
}

/* After NAME: the rest of "= value", kept if it is one we know. */
static bool scan_value(struct scanner *s, struct mir_span name, struct mir_error *err)
{
    auto_buf value;
    char **slot = s->into_bearer ? slot_of(s, name) : NULL;

    mir_buf_init(&value, REG_CHALLENGE_BYTES_MAX);
    if (++s->params > REG_CHALLENGE_PARAMS_MAX)
        return mir_fail(err, MIR_E_LIMIT, "WWW-Authenticate: over %d parameters",
                        REG_CHALLENGE_PARAMS_MAX);
    s->at++;
    skip_blanks(s);
    if (s->at < s->end && *s->at == '"') {
        if (!scan_quoted(s, &value, err))
            return false;
    } else {
        /* Some servers leave the quotes off; a URL then ends at the comma. */
        while (s->at < s->end && *s->at != ',' && *s->at != ' ' && *s->at != '\t')
            mir_buf_char(&value, *s->at++);
    }
    if (slot && !*slot && value.len > 0 && strlen(value.ptr) == value.len)
        *slot = mir_buf_take(&value);
    return true;
}

/* A Bearer challenge that does not say where tokens come from is of no use: the next one counts. */
static void begin_bearer(struct scanner *s)
{
    s->into_bearer = !s->out->realm;
    if (s->into_bearer)
        forget_bearer(s->out);
    s->out->has_bearer = true;
}

static void begin_scheme(struct scanner *s, struct mir_span name)
{
    s->into_bearer = false;
    if (name.len == 5 && strncasecmp(name.ptr, "Basic", 5) == 0)
        s->out->has_basic = true;
    if (name.len == 6 && strncasecmp(name.ptr, "Bearer", 6) == 0)
        begin_bearer(s);
}

/* token68 after a scheme ("Negotiate YII...=="): nothing for us. */
static void skip_token68(struct scanner *s)
{
    const char *start = s->at;

    while (s->at < s->end && (is_token_char(*s->at) || *s->at == '/' || *s->at == '='))
        s->at++;
    skip_blanks(s);
    if (s->at < s->end && *s->at != ',')
        s->at = start;
}

/* After a scheme: a name and "=" begin a parameter; anything else here is token68. */
static void skip_credentials(struct scanner *s)
{
    const char *start = s->at;
    struct mir_span name;
    bool is_parameter;

    if (s->at == s->end || *s->at == ',')
        return;
    name = scan_token(s);
    skip_blanks(s);
    is_parameter =
        name.len > 0 && s->end - s->at > 1 && *s->at == '=' && s->at[1] != '=' && s->at[1] != ',';
    s->at = start;
    if (!is_parameter)
        skip_token68(s);
}

/* A parameter, or a scheme and what is no parameter of it. */
static bool scan_element(struct scanner *s, struct mir_error *err)
{
    struct mir_span word = scan_token(s);
    const char *after = s->at;

    if (word.len == 0)
        return mir_fail(err, MIR_E_PROTOCOL, "WWW-Authenticate: a name is missing");
    skip_blanks(s);
    if (s->at < s->end && *s->at == '=')
        return scan_value(s, word, err);
    if (s->at < s->end && s->at == after && *s->at != ',')
        return mir_fail(err, MIR_E_PROTOCOL, "WWW-Authenticate: a byte that belongs nowhere");
    begin_scheme(s, word);
    skip_credentials(s);
    return true;
}

bool reg_challenge_parse(struct mir_span header, struct reg_challenge *out, struct mir_error *err)
{
    struct scanner s = {.at = header.ptr, .end = header.ptr + header.len, .out = out};

    if (header.len > REG_CHALLENGE_BYTES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "WWW-Authenticate: over %u bytes",
                        REG_CHALLENGE_BYTES_MAX);
    for (skip_separators(&s); s.at < s.end; skip_separators(&s)) {
        if (!scan_element(&s, err))
            return false;
    }
    return true;
}

bool reg_challenges_read(const struct http_response *response, const struct mir_sink *sink,
                         struct reg_challenge *out, struct mir_error *err)
{
    for (size_t i = 0; i < HEADERS_MAX; i++) {
        const char *text = http_response_header_at(response, "WWW-Authenticate", i);
        struct mir_error trouble = MIR_ERROR_INIT;

        if (!text)
            return true;
        if (reg_challenge_parse(mir_span_of(text), out, &trouble))
            continue;
        if (trouble.code == MIR_E_LIMIT) {
            *err = trouble;
            return false;
        }
        /* What could be read of it still counts. */
        mir_log(sink, MIR_LEVEL_DEBUG, "%s", trouble.text);
    }
    return true;
}
