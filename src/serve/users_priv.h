/*
 * Who may come in: a file of users and bcrypt hashes, as `htpasswd -B` writes it.
 *
 * Threads: any, at once; checking a password takes a tenth of a second or more, finding one that
 * was right before takes no time.
 */
#ifndef SERVE_USERS_PRIV_H
#define SERVE_USERS_PRIV_H

#include "base/error.h"
#include "base/span.h"

#define SERVE_USER_MAX     255 /* bytes, as htpasswd has it */
#define SERVE_PASSWORD_MAX 255

struct serve_users;

/* What a client says it is. A secret: wipe it. */
struct serve_login {
    char user[SERVE_USER_MAX + 1];
    char password[SERVE_PASSWORD_MAX + 1];
};

/** The value of an Authorization header. False: it is none of the scheme Basic, or cannot be right.
 * Pure. */
bool serve_login_parse(const char *header, struct serve_login *out);
void serve_login_wipe(struct serve_login *login);

/** Read a file. err: MIR_E_FORMAT naming the line: another kind of hash, no user, one twice. */
MIR_MUST_CHECK bool serve_users_read(const char *path, struct serve_users **out,
                                     struct mir_error *err);
/** The same from its text; path is for messages. */
MIR_MUST_CHECK bool serve_users_parse(struct mir_span text, const char *path,
                                      struct serve_users **out, struct mir_error *err);
/** NULL is fine. */
void serve_users_free(struct serve_users *users);

/** Was this login found right before? Fast. */
bool serve_users_knows(struct serve_users *users, const struct serve_login *login);
/** Is it right? Slow, and as slow for a user who is not there. */
bool serve_users_check(struct serve_users *users, const struct serve_login *login);

#endif
