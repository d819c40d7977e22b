/*
 * The progress display. It reads counters and draws; it never influences the copy.
 *
 * Invariant: everything written to stderr is written with the log's lock held, so a bar and a log
 * line never mix.
 */
#include "cli/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

#define BAR_EVERY_MS   100
#define PLAIN_EVERY_MS 10000
#define JSON_EVERY_MS  1000
#define COLUMNS_MIN    40
#define RATE_WEIGHT    0.1 /* of the newest sample in the moving average */

struct cli_progress {
    struct cli *cli;
    enum cli_progress_kind kind;
    const struct copy_progress *counters;
    pthread_t thread;
    bool has_thread;
    struct mir_cancel stop;
    bool drawn; /* a bar stands on the line */
    uint64_t last_bytes;
    int64_t last_ms;
    double rate; /* bytes a second, smoothed */
};

/* One look at the counters. */
struct snapshot {
    int phase;
    uint64_t images, images_done, blobs, blobs_done, bytes, bytes_done;
};

bool cli_progress_parse(const char *text, enum cli_progress_kind *out, struct mir_error *err)
{
    static const struct {
        const char *name;
        enum cli_progress_kind kind;
    } kinds[] = {
        {"auto", CLI_PROGRESS_AUTO}, {"bar", CLI_PROGRESS_BAR},   {"plain", CLI_PROGRESS_PLAIN},
        {"json", CLI_PROGRESS_JSON}, {"none", CLI_PROGRESS_NONE},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(text, kinds[i].name) == 0) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return mir_fail(err, MIR_E_USAGE, "--progress: \"%s\" is none of bar, plain, json, none", text);
}

static struct snapshot look(const struct copy_progress *counters)
{
    return (struct snapshot){
        .phase = atomic_load(&counters->phase),
        .images = atomic_load(&counters->images),
        .images_done = atomic_load(&counters->images_done),
        .blobs = atomic_load(&counters->blobs),
        .blobs_done = atomic_load(&counters->blobs_done),
        .bytes = atomic_load(&counters->bytes),
        .bytes_done = atomic_load(&counters->bytes_done),
    };
}

static void update_rate(struct cli_progress *progress, const struct snapshot *now)
{
    int64_t ms = mir_clock_now(mir_clock_real());
    int64_t passed = ms - progress->last_ms;
    double sample;

    if (passed <= 0)
        return;
    sample = now->bytes_done > progress->last_bytes
                 ? (double)(now->bytes_done - progress->last_bytes) * 1000 / (double)passed
                 : 0;
    progress->rate =
        progress->rate > 0 ? progress->rate + (sample - progress->rate) * RATE_WEIGHT : sample;
    progress->last_bytes = now->bytes_done;
    progress->last_ms = ms;
}

static void time_left(const struct cli_progress *progress, const struct snapshot *now, char *text,
                      size_t size)
{
    uint64_t left = now->bytes > now->bytes_done ? now->bytes - now->bytes_done : 0;
    unsigned long seconds;

    text[0] = '\0';
    if (progress->rate < 1 || left == 0)
        return;
    seconds = (unsigned long)((double)left / progress->rate);
    if (seconds < 3600)
        (void)snprintf(text, size, "%lu:%02lu left", seconds / 60, seconds % 60);
    else
        (void)snprintf(text, size, "%lu:%02lu:%02lu left", seconds / 3600, seconds / 60 % 60,
                       seconds % 60);
}

static void describe(const struct cli_progress *progress, const struct snapshot *now, char *text,
                     size_t size)
{
    char done[MIR_BYTES_TEXT_MAX], all[MIR_BYTES_TEXT_MAX], rate[MIR_BYTES_TEXT_MAX], left[40];

    if (now->phase == COPY_PHASE_RESOLVE) {
        (void)snprintf(text, size, "resolving images: %llu of %llu",
                       (unsigned long long)now->images_done, (unsigned long long)now->images);
        return;
    }
    time_left(progress, now, left, sizeof(left));
    (void)snprintf(text, size, "%llu of %llu blobs, %s of %s, %s/s%s%s",
                   (unsigned long long)now->blobs_done, (unsigned long long)now->blobs,
                   mir_bytes_text(now->bytes_done, done), mir_bytes_text(now->bytes, all),
                   mir_bytes_text((uint64_t)progress->rate, rate), left[0] ? ", " : "", left);
}

static unsigned terminal_columns(void)
{
    struct winsize window;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_col < COLUMNS_MIN)
        return 80;
    return window.ws_col;
}

static void draw_bar(struct cli_progress *progress, const struct snapshot *now)
{
    char text[160], bar[64];
    unsigned columns = terminal_columns();
    unsigned width = columns > 100 ? 30 : 16;
    double part = now->bytes > 0 ? (double)now->bytes_done / (double)now->bytes : 0;
    unsigned filled = part >= 1 ? width : (unsigned)(part * width);

    describe(progress, now, text, sizeof(text));
    for (unsigned i = 0; i < width; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[width] = '\0';
    (void)fprintf(stderr, "\r[%s] %.*s\033[K", bar, (int)(columns - width - 4), text);
    progress->drawn = true;
}

static void print_json(const struct snapshot *now)
{
    static const char *const phases[] = {"resolve", "move", "finish"};

    (void)fprintf(stderr,
                  "{\"phase\":\"%s\",\"images\":%llu,\"imagesDone\":%llu,\"blobs\":%llu,"
                  "\"blobsDone\":%llu,\"bytes\":%llu,\"bytesDone\":%llu}\n",
                  phases[now->phase], (unsigned long long)now->images,
                  (unsigned long long)now->images_done, (unsigned long long)now->blobs,
                  (unsigned long long)now->blobs_done, (unsigned long long)now->bytes,
                  (unsigned long long)now->bytes_done);
}

static void show(struct cli_progress *progress)
{
    struct snapshot now = look(progress->counters);
    char text[160];

    (void)pthread_mutex_lock(&progress->cli->lock);
    update_rate(progress, &now);
    switch (progress->kind) {
    case CLI_PROGRESS_BAR:
        draw_bar(progress, &now);
        break;
    case CLI_PROGRESS_PLAIN:
        describe(progress, &now, text, sizeof(text));
        (void)fprintf(stderr, "%s\n", text);
        break;
    case CLI_PROGRESS_JSON:
        print_json(&now);
        break;
    case CLI_PROGRESS_AUTO:
    case CLI_PROGRESS_NONE:
        break;
    }
    (void)fflush(stderr);
    (void)pthread_mutex_unlock(&progress->cli->lock);
}

static int64_t period_of(enum cli_progress_kind kind)
{
    switch (kind) {
    case CLI_PROGRESS_BAR:
        return BAR_EVERY_MS;
    case CLI_PROGRESS_JSON:
        return JSON_EVERY_MS;
    case CLI_PROGRESS_PLAIN:
    case CLI_PROGRESS_AUTO:
    case CLI_PROGRESS_NONE:
        return PLAIN_EVERY_MS;
    }
    return PLAIN_EVERY_MS;
}

static void *run(void *arg)
{
    struct cli_progress *progress = arg;
    const struct mir_clock *clock = mir_clock_real();

    while (mir_clock_wait(clock, period_of(progress->kind), &progress->stop))
        show(progress);
    return NULL;
}

struct cli_progress *cli_progress_begin(struct cli *cli, enum cli_progress_kind kind,
                                        const struct copy_progress *counters)
{
    struct cli_progress *progress = mir_alloc(sizeof(*progress));

    if (kind == CLI_PROGRESS_AUTO)
        kind = isatty(STDERR_FILENO) ? CLI_PROGRESS_BAR : CLI_PROGRESS_PLAIN;
    *progress = (struct cli_progress){
        .cli = cli, .kind = kind, .counters = counters, .last_ms = mir_clock_now(mir_clock_real())};
    cli->progress = progress;
    /* Without a thread there is no display, and the copy goes on. */
    if (kind != CLI_PROGRESS_NONE)
        progress->has_thread = pthread_create(&progress->thread, NULL, run, progress) == 0;
    return progress;
}

void cli_progress_hide(struct cli_progress *progress)
{
    if (!progress || !progress->drawn)
        return;
    (void)fputs("\r\033[K", stderr);
    progress->drawn = false;
}

void cli_progress_end(struct cli_progress *progress)
{
    if (!progress)
        return;
    atomic_store(&progress->stop.flag, 1);
    if (progress->has_thread)
        (void)pthread_join(progress->thread, NULL);
    /* However short it was, the end is shown once. */
    if (progress->kind == CLI_PROGRESS_JSON || progress->kind == CLI_PROGRESS_BAR)
        show(progress);
    (void)pthread_mutex_lock(&progress->cli->lock);
    cli_progress_hide(progress);
    (void)fflush(stderr);
    (void)pthread_mutex_unlock(&progress->cli->lock);
    progress->cli->progress = NULL;
    free(progress);
}
