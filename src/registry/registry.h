/*
 * The registry protocol: manifests and blobs of repositories on any host.
 *
 * A reg_client is one side of a copy (all sources, or the destination): its credentials, TLS
 * settings, tokens and what it learned of each host. A reg_session is one worker's door: curl
 * handles and live connections. Sessions keep connections across images and hosts.
 *
 * Errors: what was asked of which URL comes first in the text; secrets never. Everything that may
 * be retried has been retried (retry_times) before a function returns, except where said.
 *
 * Threads: a client is shared by all threads; a session belongs to one.
 * Spec: OCI distribution 1.1; Docker Registry HTTP API v2 and its token specification.
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/sink.h"
#include "base/watch.h"
#include "image/descriptor.h"
#include "image/digest.h"

enum reg_tls {
    REG_TLS_DEFAULT, /* verify; hosts on loopback: https unverified, then http, as docker does */
    REG_TLS_VERIFY,  /* https, verified, everywhere */
    REG_TLS_OFF,     /* https unverified, then http */
    REG_TLS_NODE,    /* as a node does it: verify, whatever the host, unless a place is insecure */
};

/* All strings are borrowed and live as long as the client. NULL: not given. */
struct reg_options {
    const char *authfile; /* --authfile; else REGISTRY_AUTH_FILE; else the standard files */
    const char *creds;    /* USER[:PASS] for every host of this side */
    bool no_creds;        /* ask as nobody */
    /* credential-helpers of registries.conf, in their order; "containers-auth.json" stands for the
     * auth files. NULL: those alone. */
    const char *const *helpers;
    size_t helper_count;
    enum reg_tls tls;
    const char *cert_dir;      /* instead of certs.d */
    const char *option_prefix; /* of this side's options, for hints: "src-", "dest-", "" */
    unsigned retry_times;      /* further tries after the first */
    int64_t stall_timeout_ms;  /* a try ends when no byte moves for so long; 0: 60 s */
    uint64_t limit_rate;       /* bytes of bodies a second over all sessions; 0: any */
    const char *user_agent;
    const struct mir_clock *clock;   /* NULL: the real one */
    const struct mir_cancel *cancel; /* NULL: none */
    const struct mir_sink *sink;     /* NULL: silent */
};

struct reg_client;
struct reg_session;

/** err: MIR_E_USAGE for options that contradict each other, or an auth file that cannot be read. */
MIR_MUST_CHECK bool reg_client_new(const struct reg_options *options, struct reg_client **out,
                                   struct mir_error *err);
void reg_client_free(struct reg_client *client);
/** Requests sent so far, redirects, tokens and retries included. */
uint64_t reg_client_requests(const struct reg_client *client);

/** Was this host spoken to without verifying who it is, for any of its repositories: plain http, or
 * any certificate taken? False for a host that was never asked. */
bool reg_client_is_relaxed(struct reg_client *client, const char *host);

struct reg_session *reg_session_new(struct reg_client *client);
void reg_session_free(struct reg_session *session);

/** From now on, until another is set; NULL: none. watch is copied, what it points to borrowed. */
void reg_session_watch(struct reg_session *session, const struct mir_watch *watch);

/* A repository; borrowed strings. host as in references: "docker.io", "localhost:5000". */
struct reg_repo {
    const char *host;
    const char *name;
    /* The machine's registries.conf says so of this place: https unverified, then http, for the
     * host and for what it leads to. Counts with REG_TLS_DEFAULT and REG_TLS_NODE only. One host
     * may have places of both kinds. */
    bool insecure;
};

struct reg_manifest {
    char *bytes; /* as they arrived, NUL after the last; the holder frees */
    size_t len;
    char *media_type; /* Content-Type without parameters; may be empty; the holder frees */
    struct img_digest digest;
};
void reg_manifest_release(struct reg_manifest *manifest);

/**
 * GET a manifest by tag or by digest text. Asked for by digest, the bytes are checked against it
 * (MIR_E_DIGEST); by tag, against Docker-Content-Digest where the registry sends it. Wrong bytes
 * are fetched again, retry_times at most.
 * err: MIR_E_NOT_FOUND, MIR_E_AUTH, MIR_E_LIMIT over IMG_MANIFEST_BYTES_MAX, ...
 */
MIR_MUST_CHECK bool reg_manifest_get(struct reg_session *session, const struct reg_repo *repo,
                                     const char *reference, struct reg_manifest *out,
                                     struct mir_error *err);

#define REG_TYPE_MAX 256

struct reg_found {
    bool is_there;
    struct img_digest digest;      /* empty when the registry did not say */
    char media_type[REG_TYPE_MAX]; /* Content-Type without parameters; empty when not said */
};

/** HEAD: is it there, under which digest, and what is it? Absence is not an error: *out is always
 * written on success. */
MIR_MUST_CHECK bool reg_manifest_find(struct reg_session *session, const struct reg_repo *repo,
                                      const char *reference, struct reg_found *out,
                                      struct mir_error *err);

/** PUT a manifest under a tag or its own digest. Checks the digest the registry answers with, and
 * sends it again where that is another one, retry_times at most. */
MIR_MUST_CHECK bool reg_manifest_put(struct reg_session *session, const struct reg_repo *repo,
                                     const char *reference, const char *media_type,
                                     struct mir_span bytes, struct mir_error *err);

/* Where the bytes of a blob go: called in order, each byte once. False with err ends the fetch.
 * restart: what there is, from byte 0 on, turned out to be wrong; byte 0 comes next. NULL: a wrong
 * digest ends the fetch. */
struct reg_blob_sink {
    bool (*write)(void *ctx, struct mir_span bytes, struct mir_error *err);
    void (*restart)(void *ctx);
    void *ctx;
};

/* Where the bytes of a blob come from; may be asked for an earlier offset again after a failure.
 * Writes exactly len bytes to data. */
struct reg_blob_source {
    bool (*read)(void *ctx, uint64_t offset, void *data, size_t len, struct mir_error *err);
    void *ctx;
};

/**
 * GET a blob from an offset to its end. A broken transfer goes on with Range inside the call;
 * the sink never sees a byte twice. Size and digest of the whole are checked: MIR_E_DIGEST. Bad
 * links flip bits, so what is wrong is fetched again, retry_times at most; the first time at once
 * and uncounted if offset is not 0, for then what the caller had may be to blame.
 *
 * hash  fed with the first `offset` bytes by the caller; NULL when offset is 0. Finished by this.
 * Foreign layers: where the registry does not have the blob, descriptor->urls are tried.
 */
MIR_MUST_CHECK bool reg_blob_get(struct reg_session *session, const struct reg_repo *repo,
                                 const struct img_descriptor *blob, uint64_t offset,
                                 struct mir_hash *hash, const struct reg_blob_sink *sink,
                                 struct mir_error *err);

/** HEAD: does the repository have it? Absence is not an error. */
MIR_MUST_CHECK bool reg_blob_find(struct reg_session *session, const struct reg_repo *repo,
                                  const struct img_digest *digest, bool *found,
                                  struct mir_error *err);

#define REG_NAMES_MAX 1000000

struct reg_names {
    char **names; /* sorted, each once; the holder frees */
    size_t count;
};
void reg_names_release(struct reg_names *names);
#define auto_names __attribute__((cleanup(reg_names_release))) struct reg_names

/** All tags of a repository, whatever number of pages they come in. Names that are no tags are left
 * out. err: MIR_E_NOT_FOUND, MIR_E_AUTH; MIR_E_PROTOCOL, MIR_E_LIMIT for lists that lead elsewhere
 * or nowhere. */
MIR_MUST_CHECK bool reg_tag_list(struct reg_session *session, const struct reg_repo *repo,
                                 struct reg_names *out, struct mir_error *err);
/** All repositories of a registry, if it tells. insecure: as reg_repo has it. */
MIR_MUST_CHECK bool reg_repo_list(struct reg_session *session, const char *host, bool insecure,
                                  struct reg_names *out, struct mir_error *err);

enum reg_put_outcome {
    REG_PUT_UPLOADED,
    REG_PUT_MOUNTED, /* the registry had it in another repository */
};

/**
 * Bring a blob into a repository: one POST that mounts from mount_from (a repository name on the
 * same host, or NULL) or else starts an upload, then one PUT with Content-Length.
 */
MIR_MUST_CHECK bool reg_blob_put(struct reg_session *session, const struct reg_repo *repo,
                                 const struct img_descriptor *blob, const char *mount_from,
                                 const struct reg_blob_source *source,
                                 enum reg_put_outcome *outcome, struct mir_error *err);

/**
 * Bring a blob into a repository by one POST that mounts it from another one of the same host, or
 * not at all: *mounted tells. A registry that does not let us read there has not mounted it.
 */
MIR_MUST_CHECK bool reg_blob_mount(struct reg_session *session, const struct reg_repo *repo,
                                   const struct img_digest *digest, const char *mount_from,
                                   bool *mounted, struct mir_error *err);

/**
 * reg_blob_put() with a blob of another registry as the source: GET feeds PUT through a bounded
 * ring in this thread, nothing touches the disk. The digest is checked before the registry is told
 * that the blob is complete; wrong bytes are fetched again, into a new upload, retry_times at most.
 * moved counts bytes for progress (may be NULL); it is called with deltas, negative when a try
 * starts over.
 */
MIR_MUST_CHECK bool reg_blob_relay(struct reg_session *from, const struct reg_repo *source,
                                   struct reg_session *to, const struct reg_repo *destination,
                                   const struct img_descriptor *blob, const char *mount_from,
                                   void (*moved)(void *ctx, int64_t bytes), void *ctx,
                                   enum reg_put_outcome *outcome, struct mir_error *err);

#endif
