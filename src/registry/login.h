/*
 * Logging in and out, and why one is let in or not: what stands behind "mirror login", "logout" and
 * "auth explain". Nothing here is needed to copy images.
 *
 * An account is a key of auth files: "HOST", "HOST/NS" or "HOST/NS/REPO".
 *
 * Threads: no shared state; an auth file that several programs change at once is changed by one
 * after the other.
 */
#ifndef REGISTRY_LOGIN_H
#define REGISTRY_LOGIN_H

#include <jansson.h>

#include "registry/registry.h"

/** MIR_E_USAGE unless it follows the grammar. */
MIR_MUST_CHECK bool reg_account_check(const char *account, struct mir_error *err);

/**
 * Does the registry let in who options->creds (USER:PASS) names? Asks for /v2/ as nobody, and then
 * as it wants to be asked; no repository is named, so what the user may do there is not known.
 *
 * at    host and insecure count.
 * open  set when it lets everybody in, and nobody looked at user and password.
 * err   MIR_E_AUTH: it does not; else what came in between.
 */
MIR_MUST_CHECK bool reg_login_check(const struct reg_options *options, const struct reg_repo *at,
                                    bool *open, struct mir_error *err);

/* Who is logged in, as far as files and helpers know. */
struct reg_login_found {
    char *user;   /* NULL: nobody, or an identity token without a name */
    char *creds;  /* USER:PASS, a secret; NULL: nobody, or an identity token */
    char *origin; /* which file and key; NULL: nobody */
};
void reg_login_found_release(struct reg_login_found *found);

/** What a look-up for the account gives; a file that was named and is not there is like an empty
 * one. Nobody is no error. err: as a copy would fail. */
MIR_MUST_CHECK bool reg_login_find(const struct reg_options *options, const char *account,
                                   struct reg_login_found *out, struct mir_error *err);

/**
 * Keep options->creds for an account: in options->authfile, or where podman's login writes, or in
 * the credential helper which that file names for the host. The file appears whole, with mode 0600;
 * what else it holds stays, and the order of it; a symbolic link is followed to the file.
 *
 * where  for people: the file or the helper; the caller frees.
 * err    MIR_E_USAGE for creds without a password or a user with a colon, a file that is no auth
 *        file; MIR_E_IO, ...
 */
MIR_MUST_CHECK bool reg_login_store(const struct reg_options *options, const char *account,
                                    char **where, struct mir_error *err);

/** Take an account out of where reg_login_store() would put it, all spellings of the same host
 * with it. *erased: it was there. *where as above. */
MIR_MUST_CHECK bool reg_login_erase(const struct reg_options *options, const char *account,
                                    bool *erased, char **where, struct mir_error *err);
/** Take out all accounts. */
MIR_MUST_CHECK bool reg_login_erase_all(const struct reg_options *options, bool *erased,
                                        char **where, struct mir_error *err);

enum reg_explain {
    REG_EXPLAIN_PULL,
    REG_EXPLAIN_PUSH, /* and pull: an upload is begun and taken back */
};

/**
 * Go in as a copy would, and tell what happened on the way: where credentials were looked for and
 * which were taken, how the registry is spoken to, what it asks of nobody, whether it lets us pull
 * and push, and what could be done. No secret is in it.
 *
 * reference  a tag or a digest; NULL: the list of tags is asked for instead.
 * out        an object, mirror-auth(1) has its fields; the caller owns it.
 * refusal    MIR_OK when we may pull, whether or not what was named is there; else why not.
 * err        for options that contradict each other or a name that is none.
 */
MIR_MUST_CHECK bool reg_explain(const struct reg_options *options, const struct reg_repo *repo,
                                const char *reference, enum reg_explain how, json_t **out,
                                struct mir_error *refusal, struct mir_error *err);

#endif
