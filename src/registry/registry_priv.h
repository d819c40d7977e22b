/*
 * What the files of src/registry share.
 *
 *   auth_look.c   credentials: the order of files and helpers (auth_priv.h has the rest of it)
 *   helper.c      running docker-credential-NAME
 *   challenge.c   WWW-Authenticate
 *   token.c       bearer tokens, shared by all threads
 *   realm.c       asking for one
 *   scrub.c       secrets taken out of what servers say
 *   certs.c       certs.d
 *   host.c        what is known of one host: scheme, TLS, how it wants us to log in
 *   call.c        one authorised request
 *   refusal.c     what a status means, in words and with a way out
 *   client.c, manifest.c, blob.c, list.c, upload.c (and finish.c), mount.c, relay.c   the public
 *                 functions
 */
#ifndef REGISTRY_REGISTRY_PRIV_H
#define REGISTRY_REGISTRY_PRIV_H

#include "registry/registry.h"

#include <pthread.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/http.h"

#define REG_CHALLENGE_BYTES_MAX  (16u << 10) /* of one WWW-Authenticate header */
#define REG_CHALLENGE_PARAMS_MAX 64
#define REG_TOKEN_MAX            (64u << 10)
#define REG_TOKEN_BODY_MAX       (256u << 10)
#define REG_PROGRESS_BYTES       (64u << 10) /* of a blob: a login that brought them counts as none */
#define REG_TOKENS_KEPT          256
#define REG_AUTHFILE_MAX         (4u << 20)
#define REG_MESSAGE_MAX          300 /* bytes of a registry's own words in our errors */

/* ---- credentials (auth_look.c) ------------------------------------------------------------- */

struct reg_creds {
    bool found;
    char *user;
    char *password;
    char *identity_token; /* OAuth2 refresh token, or NULL */
    char *origin;         /* for people: which file and key, or which option */
};
void reg_creds_release(struct reg_creds *creds);
#define auto_creds __attribute__((cleanup(reg_creds_release))) struct reg_creds
/** "Basic ..." for credentials with a user; a secret the caller frees (call.c). */
char *reg_basic(const struct reg_creds *creds);

/** Overwrite a JSON string that was a secret, before its value is released. Others: nothing. */
void reg_wipe_json(const json_t *value);

struct reg_auth;

/** The files of options and environment, read now. err: MIR_E_USAGE naming the file. */
MIR_MUST_CHECK bool reg_auth_load(const struct reg_options *options, struct reg_auth **out,
                                  struct mir_error *err);
/** One file's text alone; name is what errors and origins call it. For tests. */
MIR_MUST_CHECK bool reg_auth_parse(struct mir_span text, const char *name, struct reg_auth **out,
                                   struct mir_error *err);
void reg_auth_free(struct reg_auth *auth);
/** The credentials for a repository: keys from most to least specific, the first file with a match
 * wins; helpers are run where files (or options->helpers) name them. None is no error (found is
 * false). err: MIR_E_USAGE naming file and key, MIR_E_AUTH naming the helper, MIR_E_CANCELLED. */
MIR_MUST_CHECK bool reg_auth_find(const struct reg_auth *auth, const char *host, const char *repo,
                                  struct reg_creds *out, struct mir_error *err);

/* Who wants to know how a look-up went. Called in the order of looking. place: a file, a helper of
 * registries.conf, "the command line"; outcome: "not there", "no key for HOST/REPO", "key
 * \"host/ns\": user NAME", "docker-credential-X: no credentials for HOST", what is wrong with it;
 * "not needed: ..." for the files behind the one that won. User names, never a secret. */
struct reg_auth_trace {
    void (*saw)(void *ctx, const char *place, const char *outcome);
    void *ctx;
};

/** reg_auth_find() that tells what it saw. trace may be NULL. */
MIR_MUST_CHECK bool reg_auth_look(const struct reg_auth *auth, const char *host, const char *repo,
                                  const struct reg_auth_trace *trace, struct reg_creds *out,
                                  struct mir_error *err);

/** The file a login is written to when none is named, as podman and skopeo choose it:
 * REGISTRY_AUTH_FILE, else config.json in DOCKER_CONFIG, else containers/auth.json in
 * XDG_RUNTIME_DIR, else /run/containers/UID/auth.json. The caller frees. */
char *reg_auth_default_file(void);

/* ---- credential helpers (helper.c) --------------------------------------------------------- */

#define REG_HELPER_OUTPUT_MAX (64u << 10)
#define REG_HELPER_LIMIT_MS   (60 * 1000)
#define REG_DOCKER_IO_URL     "https://index.docker.io/v1/" /* what docker calls docker.io there */

struct reg_helper_ask {
    const char *name; /* the NAME of docker-credential-NAME: a plain word */
    const char *verb; /* get, store, erase */
    struct mir_span input;
    int64_t limit_ms; /* 0: REG_HELPER_LIMIT_MS */
    const struct mir_cancel *cancel;
    const struct mir_sink *sink;
};

/**
 * Run docker-credential-NAME VERB with input on its standard input, and add what it says on its
 * standard output to output, which the caller has made and wipes. Its standard error goes to the
 * sink at debug, the secrets of input and output blotted out.
 *
 * err  MIR_E_USAGE: no such program, or no such name; MIR_E_NOT_FOUND: it says "credentials not
 *      found"; MIR_E_AUTH: it failed, or took too long (it has been ended); MIR_E_LIMIT: it said
 *      more than REG_HELPER_OUTPUT_MAX; MIR_E_CANCELLED.
 */
MIR_MUST_CHECK bool reg_helper_ask(const struct reg_helper_ask *ask, struct mir_buf *output,
                                   struct mir_error *err);
/** The same with the usual time limit. */
MIR_MUST_CHECK bool reg_helper_run(const char *name, const char *verb, struct mir_span input,
                                   struct mir_buf *output, const struct mir_cancel *cancel,
                                   const struct mir_sink *sink, struct mir_error *err);

/* ---- challenges (challenge.c) -------------------------------------------------------------- */

struct reg_challenge {
    bool has_basic;
    bool has_bearer;
    char *realm; /* of Bearer; NULL when missing; so the others */
    char *service;
    char *scope;
    char *error;
};
void reg_challenge_release(struct reg_challenge *challenge);
#define auto_challenge __attribute__((cleanup(reg_challenge_release))) struct reg_challenge

/** Add what one WWW-Authenticate header says: several challenges may stand in one. Of Bearer the
 * first that names a realm counts; of a field the first that is not empty. err: MIR_E_PROTOCOL for
 * what does not follow RFC 9110, MIR_E_LIMIT; what was read before the fault stays. */
MIR_MUST_CHECK bool reg_challenge_parse(struct mir_span header, struct reg_challenge *out,
                                        struct mir_error *err);
/** All such headers of an answer. What does not follow the grammar is logged and counts as far as
 * it could be read; a header over a limit fails. out: zeros, the caller releases it in any case.
 * err: MIR_E_LIMIT. */
MIR_MUST_CHECK bool reg_challenges_read(const struct http_response *response,
                                        const struct mir_sink *sink, struct reg_challenge *out,
                                        struct mir_error *err);

/* ---- certs.d (certs.c) --------------------------------------------------------------------- */

/** TLS settings for a host: cert_dir as it is, or the first certs.d folder of the host that exists;
 * without one the system's trust. away gets the same trust without the client certificate. */
MIR_MUST_CHECK bool reg_certs_load(const struct reg_client *client, const char *host, bool verify,
                                   bool verify_away, struct http_tls **tls, struct http_tls **away,
                                   struct mir_error *err);
/** The folder that certificates for a host are read from; NULL: there is none. The caller frees. */
char *reg_certs_folder(const struct reg_client *client, const char *host);
/** Is there such a folder for the host? */
bool reg_certs_exist(const struct reg_client *client, const char *host);

/* ---- hosts (host.c) ------------------------------------------------------------------------ */

enum reg_scheme_state {
    REG_SCHEME_UNKNOWN,
    REG_SCHEME_ASKING, /* a thread is finding out */
    REG_SCHEME_HTTPS,
    REG_SCHEME_HTTP,
    REG_SCHEME_FAILED, /* nobody could find out, and nobody tries again */
};

enum reg_login {
    REG_LOGIN_UNKNOWN, /* not asked yet, or open to anybody */
    REG_LOGIN_BASIC,
    REG_LOGIN_BEARER,
};

/* Known by name and insecure. These, endpoint and TLS settings never change; the rest is under the
 * lock. Lives as long as the client. */
struct reg_host {
    char *name;     /* as references have it: "docker.io" */
    bool insecure;  /* as reg_repo has it; false where the options decide alone */
    char *endpoint; /* who is asked: "registry-1.docker.io" */
    struct http_tls *tls;
    struct http_tls *away_tls;
    bool has_certs;    /* there is a folder of certificates for it */
    bool may_be_plain; /* http is allowed where https does not answer */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool never_mounts; /* it has said that it does not know how */
    char **no_mounts;  /* pairs of repositories it does not let us mount between; upload.c */
    size_t no_mount_count;
    size_t no_mount_capacity;
    enum reg_scheme_state scheme;
    struct mir_error scheme_error; /* FAILED: why; never changes from there on */
    enum reg_login login;
    char *realm;
    char *service;
    bool realm_posts; /* it does not know GET; realm.c */
    struct reg_host *next;
};

/** The entry of a host, made when it is asked for first. */
MIR_MUST_CHECK bool reg_host_get(struct reg_client *client, const char *name, bool insecure,
                                 struct reg_host **out, struct mir_error *err);
void reg_host_free(struct reg_host *host);
/** The TLS settings for a URL that somebody else named: a realm, a foreign layer. insecure: that of
 * the host which named it. */
MIR_MUST_CHECK bool reg_url_tls(struct reg_session *session, const char *url, bool insecure,
                                struct http_request *request, struct mir_error *err);
/** "https" or "http", found out once. Where that fails, retries included, it has failed for all. */
MIR_MUST_CHECK bool reg_host_scheme(struct reg_session *session, struct reg_host *host,
                                    const char **scheme, struct mir_error *err);

/* ---- tokens (token.c, realm.c) ------------------------------------------------------------- */

struct reg_tokens;

struct reg_tokens *reg_tokens_new(void);
void reg_tokens_free(struct reg_tokens *tokens);

/* What a token is asked for with. Borrowed. */
struct reg_token_ask {
    struct reg_host *host; /* the registry that sent us to the realm */
    const char *realm;
    const char *service;       /* NULL: none */
    const char *const *scopes; /* scope_count of them */
    size_t scope_count;
    const struct reg_creds *creds;
    const char *refused; /* a token that was refused: not this one again; NULL: any */
};

struct reg_token {
    char *text;       /* secret; the holder frees */
    int64_t until_ms; /* when it runs out by its own word, on the client's clock */
    bool fresh;       /* fetched during this very call, or denied before */
};

/** Does one scope allow all that another asks for ("repository:a:pull,push" and
 * "repository:a:pull")? */
bool reg_scope_covers(struct mir_span have, struct mir_span wanted);

/** A token that is still good, from the cache or the realm; one thread asks, the others wait for
 * it. One for more than is asked for will do. */
MIR_MUST_CHECK bool reg_token_get(struct reg_session *session, const struct reg_token_ask *ask,
                                  struct reg_token *out, struct mir_error *err);
/** What makes two questions the same; no secret is in it. The caller frees. */
char *reg_token_key(const struct reg_token_ask *ask);
/** A fresh token for this question was refused. While it lives nobody need ask again. */
void reg_token_deny(struct reg_tokens *tokens, const char *key, const char *text);
bool reg_token_is_denied(struct reg_tokens *tokens, const char *key, const char *text,
                         int64_t now_ms);

/** Ask the realm, once. *text is a secret the caller frees; *life_ms counts from the call, 0: good
 * for one use. */
MIR_MUST_CHECK bool reg_realm_ask(struct reg_session *session, const struct reg_token_ask *ask,
                                  char **text, int64_t *life_ms, struct mir_error *err);

/* ---- what servers repeat (scrub.c) --------------------------------------------------------- */

/** Overwrite the secrets of an Authorization header, or of credentials, wherever they occur in a
 * server's words: as they are, percent-encoded, in base64. Either may be NULL. */
void reg_scrub_authorization(char *text, size_t len, const char *authorization);
void reg_scrub_creds(char *text, size_t len, const struct reg_creds *creds);

/* ---- client and session (client.c) --------------------------------------------------------- */

struct reg_client {
    struct reg_options options; /* strings borrowed from the caller */
    struct reg_auth *auth;
    struct reg_tokens *tokens;
    struct http_client *http;
    pthread_mutex_t lock; /* of the list of hosts */
    struct reg_host *hosts;
};

struct reg_session {
    struct reg_client *client;
    struct http_conn *conn;
};

/* ---- one request (call.c) ------------------------------------------------------------------ */

enum reg_access {
    REG_PULL,
    REG_PUSH, /* and pull */
};

struct reg_call {
    enum http_method method;
    const struct reg_repo *repo;
    const char *path; /* below /v2/NAME/; or NULL and: */
    const char *url;  /* absolute; credentials only if it is at the repository's registry */
    enum reg_access access;
    const char *mount_from; /* pull scope for this repository too; or NULL */
    const char *scope;      /* instead of the repository's, if that is none; or NULL */
    const struct http_header *headers;
    size_t header_count;
    const struct http_source *source;
    uint64_t source_len;
    const struct http_sink *sink;
    uint64_t offset;
    bool has_size;
    uint64_t size;
    size_t body_max;
    bool once;
};

/* A call made ready: what it is sent as. The relay sends two of them itself. */
struct reg_prepared {
    struct http_request request;
    struct reg_host *host;
    bool home; /* the URL is at the repository's registry */
    char *url;
    char *authorization;  /* secret, or NULL */
    char *asked;          /* what it was obtained with, no secret in it; NULL: nothing */
    int64_t new_until_ms; /* until then a refusal of what is fresh is final */
    bool fresh;           /* authorization was obtained for this very call */
};
void reg_prepared_release(struct reg_prepared *prepared);
#define auto_prepared __attribute__((cleanup(reg_prepared_release))) struct reg_prepared

MIR_MUST_CHECK bool reg_call_prepare(struct reg_session *session, const struct reg_call *call,
                                     struct reg_prepared *out, struct mir_error *err);
/** After a 401: learn from it and take another authorization. *again says whether to send once
 * more; false there means the refusal stands. */
MIR_MUST_CHECK bool reg_call_answer_401(struct reg_session *session, const struct reg_call *call,
                                        struct reg_prepared *prepared,
                                        const struct http_response *response, bool *again,
                                        struct mir_error *err);
/** Prepare, send, answer 401s. True: an answer of any status. */
MIR_MUST_CHECK bool reg_call_send(struct reg_session *session, const struct reg_call *call,
                                  struct http_response *response, struct mir_error *err);

/** "Accept" of all kinds of manifests (manifest.c). */
extern const struct http_header reg_accept_manifests;

/* ---- refusals (refusal.c) ------------------------------------------------------------------ */

/** Turn an answer that is no success into an error: method, URL, status, the registry's own words,
 * and a hint. Always false. */
bool reg_refuse(struct reg_session *session, const struct reg_call *call,
                const struct http_response *response, struct mir_error *err);
/** Is one of the errors in the answer's body of this code ("NAME_UNKNOWN")? */
bool reg_says(const struct http_response *response, const char *code);
/** The registry's words: code and message of its error body, or the first line of the text;
 * cleaned, at most REG_MESSAGE_MAX bytes. Empty when there are none. Returns text. */
#define REG_MESSAGE_TEXT_MAX (REG_MESSAGE_MAX + 4)
const char *reg_message(struct mir_span body, char text[REG_MESSAGE_TEXT_MAX]);

/* ---- uploads (upload.c, finish.c; used by mount.c and relay.c) ------------------------------ */

/** One POST that mounts, or with mount_from NULL starts an upload. True: an answer of any status.
 */
MIR_MUST_CHECK bool reg_upload_post(struct reg_session *session, const struct reg_repo *repo,
                                    const struct img_digest *digest, const char *mount_from,
                                    struct http_response *response, struct mir_error *err);
/** Does the answer to it say that the blob was mounted, this one and no other? */
bool reg_upload_is_mounted(const struct http_response *response, const struct img_digest *digest);
/** The place for the next request of a session, with the digest: what the answer to this one has as
 * Location, absolute or relative, its query kept. The caller frees. err: MIR_E_PROTOCOL. */
MIR_MUST_CHECK bool reg_upload_url(const struct http_response *response, enum http_method method,
                                   const struct img_digest *digest, char **out,
                                   struct mir_error *err);
/** One POST that mounts or starts. Mounted: *location is NULL. Else the URL for the PUT, with the
 * digest; the caller frees. Where it cannot be mounted *mount_from becomes NULL, and a second POST
 * starts the upload. */
MIR_MUST_CHECK bool reg_upload_start(struct reg_session *session, const struct reg_repo *repo,
                                     const struct img_descriptor *blob, const char **mount_from,
                                     char **location, struct mir_error *err);
/** What the answer to the PUT means. *again: a new upload may succeed. */
MIR_MUST_CHECK bool reg_upload_judge(struct reg_session *session, const struct reg_call *call,
                                     const struct img_descriptor *blob,
                                     const struct http_response *response, bool *again,
                                     struct mir_error *err);
/** Does a status say that the upload is complete? */
bool reg_upload_is_complete(int status);
/** After a 202 to the PUT: true once the blob is there. */
MIR_MUST_CHECK bool reg_upload_finish(struct reg_session *session, const struct reg_call *put,
                                      const struct img_descriptor *blob,
                                      const struct http_response *accepted, bool *again,
                                      struct mir_error *err);

/** MIR_E_FORMAT unless host, repository (and reference, if not NULL) follow their grammar. */
MIR_MUST_CHECK bool reg_check_names(const struct reg_repo *repo, const char *reference,
                                    struct mir_error *err);

#endif
