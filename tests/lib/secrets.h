/*
 * Secrets that must not get out: told once, looked for in every form they could be written in.
 * Tests with passwords and tokens ask this of all that was printed, at the highest log level, and
 * of all that a server was sent which must not know them.
 *
 * Threads: one set, one thread.
 */
#ifndef TESTS_LIB_SECRETS_H
#define TESTS_LIB_SECRETS_H

#include "base/span.h"
#include "lib/reg_bench.h"
#include "lib/server.h"

#define SECRETS_FORMS_MAX 64

struct secrets {
    char *forms[SECRETS_FORMS_MAX];
    size_t count;
};

/** Starts as zeros. A secret of fewer than 4 bytes is found everywhere, so the program is ended. */
void secrets_add(struct secrets *secrets, const char *secret);
/** The password, and what Basic makes of it and the user. */
void secrets_add_login(struct secrets *secrets, const char *user, const char *password);
void secrets_release(struct secrets *secrets);
#define auto_secrets __attribute__((cleanup(secrets_release))) struct secrets

/** The form of one that occurs in the bytes, whatever its case in percent-encoding; or NULL. */
const char *secrets_in(const struct secrets *secrets, struct mir_span bytes);

/** Nothing that the client under test has said, as error, hint or log line, has one. */
#define must_keep_secrets(secrets, bench) must_keep_secrets_at(__FILE__, __LINE__, secrets, bench)
void must_keep_secrets_at(const char *file, int line, const struct secrets *secrets,
                          struct reg_bench *bench);

/** No byte that the server was sent has one, nor any Authorization, Proxy-Authorization or Cookie.
 */
#define must_not_reach(secrets, server) must_not_reach_at(__FILE__, __LINE__, secrets, server)
void must_not_reach_at(const char *file, int line, const struct secrets *secrets,
                       struct server *server);

#endif
