/*
 * What a process, the machine and the servers beside it did for a while, read from /proc: for
 * measurements.
 *
 * Threads: no shared state.
 */
#ifndef TESTS_LIB_WATCH_H
#define TESTS_LIB_WATCH_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* A docker-registry that runs, with an access log that grows. */
struct watch_server {
    const char *name;
    pid_t pid;
    const char *log;
    uint64_t log_from; /* bytes that were in the log at the start */
    int64_t cpu_ms;    /* what it had used at the start */
};

/* The machine. */
struct watch_cpu {
    int64_t busy_ms; /* all processors together */
};

/** One figure of /proc/PID/io ("write_bytes"), of the process and the children it waited for; works
 * on a zombie. 0 when the kernel does not tell. */
uint64_t watch_io(pid_t pid, const char *name);
/** Bytes in use on the file system of a directory. */
uint64_t watch_space(const char *dir);
int64_t watch_now_ms(void);
struct watch_cpu watch_cpu(void);

void watch_server_begin(struct watch_server *server);
/** Print what it did since: lines "NAME_cpu_ms N", "NAME_requests N" and for each method that
 * occurred "NAME_GET N". Waits until its log has stood still for a moment. Returns its CPU time. */
int64_t watch_server_print(const struct watch_server *server, FILE *file);

#endif
