/*
 * What the files behind login.h share.
 *
 *   login.c       asking the registry, and which store is meant
 *   auth_write.c  changing one auth file, or the helper it names
 *   explain.c     what happens on the way in, told
 */
#ifndef REGISTRY_LOGIN_PRIV_H
#define REGISTRY_LOGIN_PRIV_H

#include "registry/auth_priv.h"
#include "registry/login.h"

/* An account taken apart; both parts owned. */
struct reg_account {
    char *host;
    char *path; /* "" for the whole host */
};
void reg_account_release(struct reg_account *account);
#define auto_account __attribute__((cleanup(reg_account_release))) struct reg_account

struct reg_account reg_account_of(const char *text);

/* One auth file to change. Borrowed. */
struct reg_auth_place {
    const char *path;
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
};

/** creds is USER:PASS. *where: the file or the helper; the caller frees. */
MIR_MUST_CHECK bool reg_auth_store(const struct reg_auth_place *place, const char *account,
                                   const char *creds, char **where, struct mir_error *err);
MIR_MUST_CHECK bool reg_auth_erase(const struct reg_auth_place *place, const char *account,
                                   bool *erased, struct mir_error *err);
MIR_MUST_CHECK bool reg_auth_erase_all(const struct reg_auth_place *place, bool *erased,
                                       struct mir_error *err);

/** Give credentials to a helper, or take them away. server: what it calls the host. */
MIR_MUST_CHECK bool reg_helper_store(const struct reg_auth_place *place, const char *name,
                                     const char *server, const char *creds, struct mir_error *err);
MIR_MUST_CHECK bool reg_helper_erase(const struct reg_auth_place *place, const char *name,
                                     const char *server, bool *erased, struct mir_error *err);
MIR_MUST_CHECK bool reg_helper_erase_all(const struct reg_auth_place *place, const char *name,
                                         bool *erased, struct mir_error *err);

/** One request to a registry below /v2/, with that authorization or none (NULL): whatever the
 * answer, nothing is done about it. Bodies of refusals alone are kept. */
MIR_MUST_CHECK bool reg_knock(struct reg_session *session, struct reg_host *host,
                              enum http_method method, const char *path, const char *authorization,
                              struct http_response *response, struct mir_error *err);

/* Where bodies go that nobody wants to read. */
extern const struct http_sink reg_no_sink;

#endif
