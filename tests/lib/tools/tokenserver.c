/*
 * A small token service for the scripts: who may do what in which repositories, answered with
 * tokens that docker-registry accepts (JWT, RS256, the certificate in the header), by GET with
 * Basic and by OAuth2 POST (password and refresh token).
 *
 *   tokenserver --rules FILE --cert FILE --key FILE --log FILE [OPTIONS]
 *     --life SECONDS      how long the registry takes a token (300)
 *     --says SECONDS      what expires_in says; 0: nothing at all (as --life)
 *     --methods GET|POST  the only one that is known; the other gets 405 (both)
 *     --tls-cert FILE --tls-key FILE   https
 *
 * FILE of --rules has lines of words: "user NAME PASSWORD", "identity NAME TOKEN", and
 * "allow NAME PATTERN ACTIONS", where NAME "-" is anybody, PATTERN a repository with perhaps a '*'
 * at its end, and ACTIONS pull, push or both with a comma.
 *
 * Each request is a line of the log, without passwords and tokens: METHOD USER STATUS, the scopes
 * asked for, "->", the scopes granted. The address is printed on stdout. One thread serves.
 */
#include <microhttpd.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signal.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/scratch.h"

#define RULES_MAX      64
#define FORM_MAX       (64u << 10)
#define SERVICE        "test"
#define ISSUER         "tokenserver"
#define REGISTRY_GRACE 60 /* docker-registry takes tokens so many seconds after their end */

enum rule_kind {
    RULE_USER,
    RULE_IDENTITY,
    RULE_ALLOW,
};

struct rule {
    enum rule_kind kind;
    char name[64];
    char what[512]; /* password, token or pattern */
    char actions[32];
};

struct service {
    struct rule rules[RULES_MAX];
    size_t rule_count;
    EVP_PKEY *key;
    char *cert64; /* DER */
    FILE *log;
    const char *only; /* method, or NULL */
    uint64_t life;
    uint64_t says;
    unsigned issued;
    char *tls_cert;
    char *tls_key;
};

/* ---- rules ---- */

static void read_rules(struct service *s, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[1024];

    if (!file)
        scratch_die("tokenserver: %s cannot be read", path);
    while (fgets(line, sizeof(line), file)) {
        struct rule rule = {.kind = RULE_USER};
        char kind[16] = "";
        int words = sscanf(line, "%15s %63s %511s %31s", kind, rule.name, rule.what, rule.actions);

        if (words <= 0)
            continue;
        if (strcmp(kind, "allow") == 0 && words == 4)
            rule.kind = RULE_ALLOW;
        else if (strcmp(kind, "identity") == 0 && words == 3)
            rule.kind = RULE_IDENTITY;
        else if (strcmp(kind, "user") != 0 || words != 3)
            scratch_die("tokenserver: %s: no rule: %s", path, line);
        if (s->rule_count == RULES_MAX)
            scratch_die("tokenserver: %s: too many rules", path);
        s->rules[s->rule_count++] = rule;
    }
    (void)fclose(file);
}

static bool fits(const char *pattern, const char *repository)
{
    size_t len = strlen(pattern);

    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(pattern, repository, len - 1) == 0;
    return strcmp(pattern, repository) == 0;
}

static bool has_word(const char *list, struct mir_span word)
{
    struct mir_span rest = mir_span_of(list);
    struct mir_span one;

    while (mir_span_next(&rest, ',', &one)) {
        if (mir_span_equal(one, word))
            return true;
    }
    return false;
}

static bool is_allowed(const struct service *s, const char *user, const char *repository,
                       struct mir_span action)
{
    for (size_t i = 0; i < s->rule_count; i++) {
        const struct rule *rule = &s->rules[i];
        bool mine = strcmp(rule->name, "-") == 0 || strcmp(rule->name, user) == 0;

        if (rule->kind == RULE_ALLOW && mine && fits(rule->what, repository) &&
            has_word(rule->actions, action))
            return true;
    }
    return false;
}

/* The user with that password or identity token, or NULL. */
static const char *find_user(const struct service *s, enum rule_kind kind, const char *name,
                             const char *secret)
{
    for (size_t i = 0; i < s->rule_count; i++) {
        const struct rule *rule = &s->rules[i];

        if (rule->kind == kind && (!name || strcmp(rule->name, name) == 0) &&
            strcmp(rule->what, secret) == 0)
            return rule->name;
    }
    return NULL;
}

/* ---- tokens ---- */

static void die_of_openssl(const char *what)
{
    scratch_die("tokenserver: %s", what);
}

static void read_keys(struct service *s, const char *cert_path, const char *key_path)
{
    FILE *cert_file = cert_path ? fopen(cert_path, "re") : NULL;
    FILE *key_file = key_path ? fopen(key_path, "re") : NULL;
    X509 *cert = cert_file ? PEM_read_X509(cert_file, NULL, NULL, NULL) : NULL;
    unsigned char *der = NULL;
    int len;

    s->key = key_file ? PEM_read_PrivateKey(key_file, NULL, NULL, NULL) : NULL;
    len = cert ? i2d_X509(cert, &der) : -1;
    if (!s->key || len < 0)
        die_of_openssl("certificate or key cannot be read");
    s->cert64 = mir_base64_encode(mir_span(der, (size_t)len));
    OPENSSL_free(der);
    X509_free(cert);
    (void)fclose(cert_file);
    (void)fclose(key_file);
}

/* Base64 as JWT has it: another alphabet, no padding. */
static char *encode_url(struct mir_span bytes)
{
    char *text = mir_base64_encode(bytes);
    size_t len = strcspn(text, "=");

    text[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '+')
            text[i] = '-';
        if (text[i] == '/')
            text[i] = '_';
    }
    return text;
}

static char *encode_json(json_t *value)
{
    auto_free char *text = json_dumps(value, JSON_COMPACT);

    if (!text)
        scratch_die("tokenserver: out of memory");
    return encode_url(mir_span_of(text));
}

static char *sign(const struct service *s, const char *text)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[1024];
    size_t len = sizeof(signature);

    if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) != 1 ||
        EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)) != 1)
        die_of_openssl("cannot sign");
    EVP_MD_CTX_free(ctx);
    return encode_url(mir_span(signature, len));
}

/* access is borrowed. */
static char *make_token(struct service *s, const char *user, json_t *access)
{
    json_int_t now = (json_int_t)time(NULL);
    auto_json *head =
        json_pack("{s:s, s:s, s:[s]}", "typ", "JWT", "alg", "RS256", "x5c", s->cert64);
    auto_json *claims = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:O}", "iss", ISSUER, "sub", user, "aud", SERVICE,
        "exp", now + (json_int_t)s->life - REGISTRY_GRACE, "nbf", now - 2 * REGISTRY_GRACE, "iat",
        now, "jti", json_sprintf("%d-%u", (int)getpid(), ++s->issued), "access", access);
    auto_free char *head64 = encode_json(head);
    auto_free char *claims64 = encode_json(claims);
    auto_free char *body = mir_format("%s.%s", head64, claims64);
    auto_free char *signature = sign(s, body);

    return mir_format("%s.%s", body, signature);
}

/* ---- one request ---- */

struct request {
    struct service *service;
    const char *method;
    struct mir_buf form;
    struct mir_buf scopes;  /* asked for, a blank between */
    struct mir_buf granted; /* for the log */
    char *user;             /* as it was told, or NULL */
    char *password;
    char *refresh_token;
};

static void free_request(void *cls, struct MHD_Connection *connection, void **ctx,
                         enum MHD_RequestTerminationCode code)
{
    struct request *request = *ctx;

    (void)cls;
    (void)connection;
    (void)code;
    if (!request)
        return;
    mir_buf_release(&request->form);
    mir_buf_release(&request->scopes);
    mir_buf_release(&request->granted);
    free(request->user);
    free(request->password);
    free(request->refresh_token);
    free(request);
    *ctx = NULL;
}

static void take_field(struct request *request, const char *name, const char *value)
{
    char **slot = NULL;

    if (strcmp(name, "scope") == 0) {
        mir_buf_printf(&request->scopes, "%s%s", request->scopes.len > 0 ? " " : "", value);
        return;
    }
    if (strcmp(request->method, "POST") != 0)
        return;
    if (strcmp(name, "username") == 0)
        slot = &request->user;
    if (strcmp(name, "password") == 0)
        slot = &request->password;
    if (strcmp(name, "refresh_token") == 0)
        slot = &request->refresh_token;
    if (slot && !*slot)
        *slot = mir_strdup(value);
}

static enum MHD_Result take_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    (void)kind;
    take_field(cls, name, value ? value : "");
    return MHD_YES;
}

static void read_form(struct request *request)
{
    struct mir_span rest = mir_buf_span(&request->form);
    struct mir_span field;

    while (mir_span_next(&rest, '&', &field)) {
        auto_free char *name = mir_strndup(field.ptr, field.len);
        char *value = strchr(name, '=');

        if (!value)
            continue;
        *value++ = '\0';
        for (char *at = strchr(value, '+'); at; at = strchr(at, '+'))
            *at = ' ';
        (void)MHD_http_unescape(value);
        take_field(request, name, value);
    }
}

static void read_basic(struct request *request, struct MHD_Connection *connection)
{
    const char *value =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    char *pair = NULL;
    size_t len = 0;
    char *colon;

    if (!value || !mir_starts_with(value, "Basic ") ||
        !mir_base64_decode(mir_span_of(value + strlen("Basic ")), &pair, &len))
        return;
    colon = strchr(pair, ':');
    if (colon) {
        *colon = '\0';
        request->password = mir_strdup(colon + 1);
    }
    request->user = pair;
}

/* "repository:NAME:ACTIONS": what of it the user may do goes to access. */
static void grant(struct request *request, const char *user, struct mir_span scope, json_t *access)
{
    auto_free char *text = mir_strndup(scope.ptr, scope.len);
    char *actions = strrchr(text, ':');
    json_t *granted = json_array();
    struct mir_span rest;
    struct mir_span action;

    if (!mir_starts_with(text, "repository:") || actions < text + strlen("repository:")) {
        json_decref(granted);
        return;
    }
    *actions++ = '\0';
    rest = mir_span_of(actions);
    while (mir_span_next(&rest, ',', &action)) {
        if (!is_allowed(request->service, user, text + strlen("repository:"), action))
            continue;
        mir_buf_printf(&request->granted, "%s%.*s",
                       json_array_size(granted) > 0 ? ","
                       : request->granted.len > 0   ? " "
                                                    : "",
                       MIR_SPAN_ARG(action));
        json_array_append_new(granted, json_stringn(action.ptr, action.len));
    }
    if (json_array_size(granted) == 0)
        json_decref(granted);
    else
        json_array_append_new(access, json_pack("{s:s, s:s, s:o}", "type", "repository", "name",
                                                text + strlen("repository:"), "actions", granted));
}

static json_t *answer_token(struct request *request, const char *user)
{
    struct service *s = request->service;
    auto_json *access = json_array();
    struct mir_span rest = mir_buf_span(&request->scopes);
    struct mir_span scope;
    auto_free char *token = NULL;
    json_t *answer;

    while (mir_span_next(&rest, ' ', &scope))
        grant(request, user, scope, access);
    token = make_token(s, user, access);
    if (strcmp(request->method, "POST") == 0)
        answer = json_pack("{s:s, s:s}", "access_token", token, "scope", request->scopes.ptr);
    else
        answer = json_pack("{s:s}", "token", token);
    if (s->says > 0)
        json_object_set_new(answer, "expires_in", json_integer((json_int_t)s->says));
    return answer;
}

/* Who asks: "" for nobody, NULL for somebody who is not let in. */
static const char *authenticate(const struct request *request)
{
    if (request->refresh_token)
        return find_user(request->service, RULE_IDENTITY, NULL, request->refresh_token);
    if (!request->user)
        return "";
    return find_user(request->service, RULE_USER, request->user,
                     request->password ? request->password : "");
}

static json_t *judge(struct request *request, unsigned *status)
{
    const struct service *s = request->service;
    const char *user = authenticate(request);

    if (s->only && strcmp(s->only, request->method) != 0) {
        *status = MHD_HTTP_METHOD_NOT_ALLOWED;
        return json_pack("{s:s}", "details", "this method is not known here");
    }
    if (!user) {
        *status = MHD_HTTP_UNAUTHORIZED;
        return json_pack("{s:s}", "details", "incorrect username or password");
    }
    *status = MHD_HTTP_OK;
    return answer_token(request, user);
}

static enum MHD_Result reply(struct MHD_Connection *connection, struct request *request)
{
    unsigned status = 0;
    auto_json *answer = judge(request, &status);
    char *text = json_dumps(answer, JSON_COMPACT);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    (void)fprintf(request->service->log, "%s %s %u %s -> %s\n", request->method,
                  request->refresh_token ? "(refresh)"
                  : request->user        ? request->user
                                         : "-",
                  status, request->scopes.ptr, request->granted.ptr);
    (void)fflush(request->service->log);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **ctx)
{
    struct request *request = *ctx;

    (void)url;
    (void)version;
    if (!request) {
        request = mir_alloc(sizeof(*request));
        request->service = cls;
        request->method = strcmp(method, "POST") == 0 ? "POST" : "GET";
        mir_buf_init(&request->form, FORM_MAX);
        mir_buf_init(&request->scopes, FORM_MAX);
        mir_buf_init(&request->granted, FORM_MAX);
        *ctx = request;
        return MHD_YES;
    }
    if (*data_len > 0) {
        mir_buf_add(&request->form, mir_span(data, *data_len));
        *data_len = 0;
        return MHD_YES;
    }
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, request);
    if (strcmp(request->method, "POST") == 0)
        read_form(request);
    else
        read_basic(request, connection);
    return reply(connection, request);
}

/* ---- the command line ---- */

static char *read_text(const char *path)
{
    FILE *file = path ? fopen(path, "re") : NULL;
    char *text = mir_alloc(FORM_MAX);

    if (!file || fread(text, 1, FORM_MAX - 1, file) == 0)
        scratch_die("tokenserver: %s cannot be read", path ? path : "a file that was not named");
    (void)fclose(file);
    return text;
}

struct options {
    const char *rules;
    const char *cert;
    const char *key;
    const char *log;
    const char *life;
    const char *says;
    const char *methods;
    const char *tls_cert;
    const char *tls_key;
};

static void parse_options(int argc, char **argv, struct options *out)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = {
        {"--rules", &out->rules},     {"--cert", &out->cert},         {"--key", &out->key},
        {"--log", &out->log},         {"--life", &out->life},         {"--says", &out->says},
        {"--methods", &out->methods}, {"--tls-cert", &out->tls_cert}, {"--tls-key", &out->tls_key}};

    for (int i = 1; i < argc; i += 2) {
        size_t row = 0;

        while (row < sizeof(known) / sizeof(known[0]) && strcmp(known[row].name, argv[i]) != 0)
            row++;
        if (row == sizeof(known) / sizeof(known[0]) || i + 1 == argc)
            scratch_die("tokenserver: %s is no option, or has no value", argv[i]);
        *known[row].value = argv[i + 1];
    }
    if (!out->rules || !out->log)
        scratch_die("tokenserver: --rules and --log are needed");
}

static uint64_t seconds_of(const char *text, uint64_t otherwise)
{
    uint64_t value = otherwise;

    if (text && !mir_parse_u64(mir_span_of(text), UINT32_MAX, &value))
        scratch_die("tokenserver: %s is no number of seconds", text);
    return value;
}

static struct MHD_Daemon *start(struct service *s)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | (s->tls_cert ? MHD_USE_TLS : 0);

    return MHD_start_daemon(flags, 0, NULL, NULL, handle, s, MHD_OPTION_SOCK_ADDR,
                            (const struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED,
                            free_request, NULL,
                            s->tls_cert ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, s->tls_cert,
                            MHD_OPTION_HTTPS_MEM_KEY, s->tls_key, MHD_OPTION_END);
}

int main(int argc, char **argv)
{
    struct service service = {.rule_count = 0};
    struct options options = {.rules = NULL};
    const union MHD_DaemonInfo *info;
    struct MHD_Daemon *daemon;
    sigset_t ends;
    int number = 0;

    parse_options(argc, argv, &options);
    read_rules(&service, options.rules);
    read_keys(&service, options.cert, options.key);
    service.only = options.methods;
    service.life = seconds_of(options.life, 300);
    service.says = seconds_of(options.says, service.life);
    service.tls_cert = options.tls_cert ? read_text(options.tls_cert) : NULL;
    service.tls_key = options.tls_cert ? read_text(options.tls_key) : NULL;
    service.log = fopen(options.log, "ae");
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    daemon = service.log ? start(&service) : NULL;
    info = daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    if (!info)
        scratch_die("tokenserver: cannot listen, or no log");
    (void)printf("listening on 127.0.0.1:%u\n", info->port);
    (void)fflush(stdout);
    (void)sigwait(&ends, &number);
    MHD_stop_daemon(daemon);
    (void)fclose(service.log);
    EVP_PKEY_free(service.key);
    free(service.cert64);
    free(service.tls_cert);
    free(service.tls_key);
    return 0;
}
