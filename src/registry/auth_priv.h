/*
 * What the files of credentials share: one auth file as it was read, and the helpers.
 *
 *   auth_file.c     reading one file
 *   auth_keys.c     which of its keys is meant by a repository
 *   auth_helper.c   asking docker-credential-NAME, and remembering the answer
 *   auth_look.c     the list of files and the order of looking
 */
#ifndef REGISTRY_AUTH_PRIV_H
#define REGISTRY_AUTH_PRIV_H

#include "registry/registry_priv.h"

#include <stdatomic.h>

struct reg_auth_entry {
    char *key;
    char *user;
    char *password;
    char *identity_token;
    const char *fault;    /* why it cannot be used; NULL if it can */
    bool is_passed_over;  /* a fault that is a warning and no error */
    atomic_bool is_known; /* the warning has been given */
};

struct reg_auth_file {
    char *name;
    bool is_there;
    bool is_broken;
    bool whole_hosts;         /* ~/.dockercfg: every key is a host, whatever follows */
    struct mir_error trouble; /* why it is broken: told when a look-up gets to it */
    struct reg_auth_entry *entries;
    size_t count;
    json_t *helpers; /* key -> program, or NULL */
    char *store;     /* credsStore, or NULL */
};

#define REG_AUTH_FILES 4 /* at most: runtime, config, docker's, .dockercfg */

/** As if the standard files had these texts, in their order; ptr NULL: not there. For tests. */
struct reg_auth *reg_auth_of_texts(const struct mir_span texts[REG_AUTH_FILES]);

/** Is there anything to log in with? */
bool reg_auth_entry_is_empty(const struct reg_auth_entry *entry);

/** The text of a file whose name and kind are set. err: MIR_E_FORMAT, MIR_E_LIMIT. */
MIR_MUST_CHECK bool reg_auth_file_parse(struct reg_auth_file *file, struct mir_span text,
                                        struct mir_error *err);
/** Read the file of that name, if it is there. What is wrong with it becomes its trouble. */
void reg_auth_file_read(struct reg_auth_file *file);
void reg_auth_file_release(struct reg_auth_file *file);

/** The entry for a repository, which may be an empty one; NULL: no key fits. */
struct reg_auth_entry *reg_auth_file_find(const struct reg_auth_file *file, const char *host,
                                          const char *repo);
/** The helper that its credHelpers name for a host; NULL: none. */
const char *reg_auth_file_helper(const struct reg_auth_file *file, const char *host);
/** Is it one of the three names of docker.io? */
bool reg_auth_is_docker_io(const char *host);
/** Does this key of the file stand for the whole host, as it is or in the form of a URL? */
bool reg_auth_key_is_host(const struct reg_auth_file *file, const char *key, const char *host);

/* ---- helpers (auth_helper.c) --------------------------------------------------------------- */

/** What docker-credential-NAME answers to "get": {"ServerURL", "Username", "Secret"}; the user
 * "<token>" says that the secret is an identity token. err: MIR_E_FORMAT, without a word of it. */
MIR_MUST_CHECK bool reg_helper_read_answer(const char *name, struct mir_span text,
                                           struct reg_creds *out, struct mir_error *err);

struct reg_helpers;

/** What options says of clock, cancel and sink is used. */
struct reg_helpers *reg_helpers_new(const struct reg_options *options);
void reg_helpers_free(struct reg_helpers *helpers);

/**
 * What docker-credential-NAME has for a host. It is run once for all threads, and again only when
 * its answer has become old. No credentials are no error: out->found is false.
 *
 * fresh  it was run for this call.
 * err    MIR_E_USAGE: there is no such helper; MIR_E_AUTH: it failed; MIR_E_CANCELLED, ...
 */
MIR_MUST_CHECK bool reg_helpers_get(struct reg_helpers *helpers, const char *name, const char *host,
                                    bool *fresh, struct reg_creds *out, struct mir_error *err);

#endif
