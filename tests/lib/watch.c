/*
 * Figures from /proc, from a file system and from the access logs of registries. Called by
 * tests/lib/tools/measure.c. What cannot be read counts as 0, so that a measurement does not fail
 * where a kernel tells less.
 */
#include "lib/watch.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define QUIET_MS        40   /* a log that has not grown for so long has all lines */
#define QUIET_WAIT_MS   2000 /* at most, for a server that others use too */
#define QUIET_STEP_MS   5
#define STAT_USER_FIELD 12 /* utime in /proc/PID/stat, counted from the state: field 14 there */
#define COUNT(elements) (sizeof(elements) / sizeof(*(elements)))

static const char *const methods[] = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"};

int64_t watch_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t ticks_ms(uint64_t ticks)
{
    return (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t watch_io(pid_t pid, const char *name)
{
    auto_free char *path = mir_format("/proc/%d/io", (int)pid);
    size_t len = strlen(name);
    char line[128];
    uint64_t value = 0;
    FILE *file = fopen(path, "re");

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            value = strtoull(line + len + 1, NULL, 10);
    }
    fclose(file);
    return value;
}

uint64_t watch_space(const char *dir)
{
    struct statvfs now;

    if (statvfs(dir, &now) != 0)
        return 0;
    return (uint64_t)(now.f_blocks - now.f_bfree) * now.f_frsize;
}

struct watch_cpu watch_cpu(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0;
    struct watch_cpu cpu = {.busy_ms = 0};
    FILE *file = fopen("/proc/stat", "re");

    if (!file)
        return cpu;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait,
               &irq, &soft) == 7)
        cpu.busy_ms = ticks_ms(user + nice + system + irq + soft);
    fclose(file);
    return cpu;
}

/* User and system time of a process that runs. */
static int64_t process_cpu_ms(pid_t pid)
{
    auto_free char *path = mir_format("/proc/%d/stat", (int)pid);
    unsigned long long user = 0, system = 0;
    char line[1024] = "";
    const char *rest;
    FILE *file = fopen(path, "re");

    if (!file)
        return 0;
    rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    fclose(file);
    for (int i = 0; rest && i < STAT_USER_FIELD; i++)
        rest = strchr(rest + 1, ' ');
    if (!rest || sscanf(rest, " %llu %llu", &user, &system) != 2)
        return 0;
    return ticks_ms(user + system);
}

static uint64_t file_size(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

void watch_server_begin(struct watch_server *server)
{
    server->log_from = file_size(server->log);
    server->cpu_ms = process_cpu_ms(server->pid);
}

/* A registry writes a request's line after it has answered. */
static void wait_for_log(const char *path)
{
    const struct timespec step = {.tv_nsec = QUIET_STEP_MS * 1000000L};
    int64_t begin = watch_now_ms(), grown = begin;
    uint64_t size = file_size(path);

    while (watch_now_ms() - grown < QUIET_MS && watch_now_ms() - begin < QUIET_WAIT_MS) {
        uint64_t now;

        nanosleep(&step, NULL);
        now = file_size(path);
        if (now != size)
            grown = watch_now_ms();
        size = now;
    }
}

/* Which method an access log's line is about: HOST - - [TIME] "GET /v2/... HTTP/1.1" 200 ... */
static bool line_method(const char *line, size_t *method)
{
    const char *request = strstr(line, "] \"");

    for (size_t i = 0; request && i < COUNT(methods); i++) {
        size_t len = strlen(methods[i]);

        if (strncmp(request + 3, methods[i], len) == 0 &&
            strncmp(request + 3 + len, " /v2/", 5) == 0) {
            *method = i;
            return true;
        }
    }
    return false;
}

static void count_requests(const struct watch_server *server, uint64_t counts[COUNT(methods)])
{
    FILE *log = fopen(server->log, "re");
    auto_free char *line = NULL;
    size_t capacity = 0, method;

    if (!log)
        return;
    if (fseeko(log, (off_t)server->log_from, SEEK_SET) == 0) {
        while (getline(&line, &capacity, log) > 0) {
            if (line_method(line, &method))
                counts[method]++;
        }
    }
    fclose(log);
}

int64_t watch_server_print(const struct watch_server *server, FILE *file)
{
    uint64_t counts[COUNT(methods)] = {0}, total = 0;
    int64_t cpu_ms;

    wait_for_log(server->log);
    cpu_ms = process_cpu_ms(server->pid) - server->cpu_ms;
    count_requests(server, counts);
    for (size_t i = 0; i < COUNT(methods); i++) {
        total += counts[i];
        if (counts[i] > 0)
            fprintf(file, "%s_%s %" PRIu64 "\n", server->name, methods[i], counts[i]);
    }
    fprintf(file, "%s_requests %" PRIu64 "\n%s_cpu_ms %" PRId64 "\n", server->name, total,
            server->name, cpu_ms);
    return cpu_ms;
}
