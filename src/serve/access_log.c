/*
 * The access log. Everything a client sends may stand in it, escaped so that a line stays a line
 * and its quotes stay quotes; Authorization never does, and neither do queries that are not ours.
 */
#include "serve/access_log_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define TARGET_SHOWN_MAX 500 /* bytes, before escaping, which makes four of one */
#define AGENT_SHOWN_MAX  200
#define WORD_SHOWN_MAX   64

/* ---- one line ---- */

static bool is_ours(struct mir_span key)
{
    return mir_span_is(key, "n") || mir_span_is(key, "last") || mir_span_is(key, "ns") ||
           mir_span_is(key, "artifactType");
}

static void add_query(struct mir_buf *out, struct mir_span query)
{
    const char *separator = "?";
    struct mir_span pair;

    while (mir_span_next(&query, '&', &pair)) {
        size_t equals;
        bool has_value = mir_span_find(pair, '=', &equals);

        mir_buf_text(out, separator);
        separator = "&";
        if (!has_value || is_ours(mir_span_first(pair, equals))) {
            mir_buf_add(out, pair);
        } else {
            mir_buf_add(out, mir_span_first(pair, equals));
            mir_buf_text(out, "=...");
        }
    }
}

char *serve_log_target(const char *target)
{
    struct mir_span path = mir_span_of(target), query = mir_span("", 0), rest;
    const char *authority = strstr(target, "://");
    struct mir_buf out;
    size_t at;

    if (target[0] != '/' && authority) {
        rest = mir_span_of(authority + 3);
        path = mir_span_find(rest, '/', &at) ? mir_span_from(rest, at) : mir_span_of("/");
    }
    if (mir_span_find(path, '?', &at)) {
        query = mir_span_from(path, at + 1);
        path = mir_span_first(path, at);
    }
    mir_buf_init(&out, 3 * strlen(target) + 16);
    mir_buf_add(&out, path);
    add_query(&out, query);
    return mir_buf_take(&out);
}

/* What a client sent, at most max bytes of it; "-" for nothing. */
static void add_escaped(struct mir_buf *out, const char *text, size_t max)
{
    if (!text || text[0] == '\0')
        text = "-";
    for (size_t i = 0; i < max && text[i] != '\0'; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            mir_buf_printf(out, "\\x%02x", c);
        else
            mir_buf_char(out, (char)c);
    }
}

static void add_user(struct mir_buf *out, const char *user)
{
    auto_free char *word = mir_strdup(user);

    for (char *c = word; c && *c; c++)
        if (*c == ' ')
            *c = '+'; /* columns stay columns */
    add_escaped(out, word, WORD_SHOWN_MAX);
}

static void add_time(struct mir_buf *out, time_t when)
{
    char text[64];
    struct tm parts;

    if (!gmtime_r(&when, &parts) ||
        strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &parts) == 0)
        text[0] = '\0';
    mir_buf_printf(out, "[%s]", text);
}

void serve_log_format(const struct serve_log_entry *entry, struct mir_buf *out)
{
    mir_buf_text(out, entry->client);
    mir_buf_text(out, " - ");
    add_user(out, entry->user);
    mir_buf_char(out, ' ');
    add_time(out, entry->when);
    mir_buf_text(out, " \"");
    add_escaped(out, entry->method, WORD_SHOWN_MAX);
    mir_buf_char(out, ' ');
    add_escaped(out, entry->target, TARGET_SHOWN_MAX);
    mir_buf_char(out, ' ');
    add_escaped(out, entry->version, WORD_SHOWN_MAX);
    mir_buf_printf(out, "\" %u %" PRIu64 " \"-\" \"", entry->status, entry->bytes);
    add_escaped(out, entry->agent, AGENT_SHOWN_MAX);
    mir_buf_printf(out, "\" %" PRId64 " %c\n", entry->took_ms, entry->is_broken_off ? 'X' : '+');
}

/* ---- the file ---- */

struct serve_access_log {
    char *path; /* NULL: standard output */
    pthread_mutex_t lock;
    int fd;
};

static bool open_file(const char *path, int *fd, struct mir_error *err)
{
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return *fd >= 0 || mir_fail_errno(err, "access log %s", path);
}

bool serve_access_log_open(const char *path, struct serve_access_log **out, struct mir_error *err)
{
    bool is_stdout = strcmp(path, "-") == 0;
    struct serve_access_log *log;
    int fd = STDOUT_FILENO;

    if (!is_stdout && !open_file(path, &fd, err))
        return false;
    log = mir_alloc(sizeof(*log));
    log->path = is_stdout ? NULL : mir_strdup(path);
    log->fd = fd;
    (void)pthread_mutex_init(&log->lock, NULL);
    *out = log;
    return true;
}

bool serve_access_log_reopen(struct serve_access_log *log, struct mir_error *err)
{
    int fd;

    if (!log->path)
        return true;
    if (!open_file(log->path, &fd, err))
        return false;
    (void)pthread_mutex_lock(&log->lock);
    (void)close(log->fd);
    log->fd = fd;
    (void)pthread_mutex_unlock(&log->lock);
    return true;
}

void serve_access_log_write(struct serve_access_log *log, const struct serve_log_entry *entry)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* see the header */
    auto_buf line;

    mir_buf_init(&line, SERVE_LOG_LINE_MAX);
    serve_log_format(entry, &line);
    (void)pthread_mutex_lock(&log->lock);
    (void)!mir_write_full(log->fd, mir_buf_span(&line), &ignored);
    (void)pthread_mutex_unlock(&log->lock);
}

void serve_access_log_close(struct serve_access_log *log)
{
    if (!log)
        return;
    if (log->path)
        (void)close(log->fd);
    (void)pthread_mutex_destroy(&log->lock);
    free(log->path);
    free(log);
}
