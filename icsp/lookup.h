/*
 * What a machine's container runtime does with the name of an image: the places it asks, in order,
 * as registries.conf and its drop-ins say, and what policy.json says of it. The rules are those of
 * the container library inside CRI-O, podman and skopeo.
 *
 *     struct icsp_lookup *lookup = icsp_lookup_new();
 *     icsp_lookup_load_registries(lookup, NULL, NULL, &err)    or icsp_lookup_add_registries()
 *     icsp_lookup_load_policy(lookup, NULL, &err)              or icsp_lookup_set_policy()
 *     icsp_lookup_find(lookup, image, &route, &err)
 *     icsp_lookup_judge_image(lookup, image, &judgement, &err)
 *
 * Without files nothing is redirected and everything is accepted.
 *
 * Threads: a lookup that nobody changes may be asked by many.
 */
#ifndef ICSP_LOOKUP_H
#define ICSP_LOOKUP_H

#include "base/error.h"
#include "base/span.h"

#define ICSP_CONF_MAX     (16u << 20) /* bytes of one file that is read */
#define ICSP_DROP_INS_MAX 1000        /* files in one folder */

struct icsp_lookup;

struct icsp_lookup *icsp_lookup_new(void);
void icsp_lookup_free(struct icsp_lookup *lookup);
void icsp_auto_lookup_free(struct icsp_lookup **lookup);
#define auto_lookup __attribute__((cleanup(icsp_auto_lookup_free))) struct icsp_lookup

/* ---- files in ---- */

enum icsp_conf_role {
    ICSP_CONF_MAIN,    /* registries.conf, version 1 or 2 */
    ICSP_CONF_DROP_IN, /* a file of registries.conf.d, version 2: its entries replace those with the
                          same prefix */
};

/** Take in a file, the main one first, then drop-ins in byte order of their names. name is copied.
 * err: "NAME:LINE...", when the runtime would refuse the file; then lookup is as before. */
MIR_MUST_CHECK bool icsp_lookup_add_registries(struct icsp_lookup *lookup, struct mir_span text,
                                               const char *name, enum icsp_conf_role role,
                                               struct mir_error *err);
/** The policy, instead of what there was; strict: an unknown key, type or scope is an error. */
MIR_MUST_CHECK bool icsp_lookup_set_policy(struct icsp_lookup *lookup, struct mir_span text,
                                           const char *name, struct mir_error *err);

/**
 * Read what the runtime would read on this machine.
 *
 * conf    the main file, which has to be there. NULL: CONTAINERS_REGISTRIES_CONF (the same), else
 *         ~/.config/containers/registries.conf (with ~/.config/containers/registries.conf.d alone),
 *         else /etc/containers/registries.conf if there is one.
 * folder  the only folder of drop-ins. NULL: /etc/containers/registries.conf.d, then
 *         ~/.config/containers/registries.conf.d. "": none.
 */
MIR_MUST_CHECK bool icsp_lookup_load_registries(struct icsp_lookup *lookup, const char *conf,
                                                const char *folder, struct mir_error *err);
/** path NULL: ~/.config/containers/policy.json, else /etc/containers/policy.json, else none. */
MIR_MUST_CHECK bool icsp_lookup_load_policy(struct icsp_lookup *lookup, const char *path,
                                            struct mir_error *err);

/** Is there a registries.conf, or a policy.json, that was read? */
bool icsp_lookup_has_registries(const struct icsp_lookup *lookup);
bool icsp_lookup_has_policy(const struct icsp_lookup *lookup);

/** "credential-helpers", in order; NULL where none are named. Borrowed. */
const char *const *icsp_lookup_helpers(const struct icsp_lookup *lookup, size_t *count);

/* ---- where an image is asked for ---- */

/* A [[registry]] entry; borrowed from the lookup. */
struct icsp_conf_entry {
    const char *prefix; /* as it counts: the location where none is given */
    const char *file;
    unsigned line;
    bool insecure, blocked;
};

struct icsp_lookup_place {
    char *reference; /* host/repo[:tag][@digest], as it is asked for there */
    bool is_mirror;  /* a [[registry.mirror]], not the entry's own place */
    bool insecure;   /* https unverified, then http */
    bool blocked;    /* refused when its turn comes, by this entry: */
    struct icsp_conf_entry blocked_by;
};

/* For whom a mirror of the entry is that this reference does not go to. */
struct icsp_lookup_skipped {
    char *location;
    bool digest_only; /* else tag-only */
};

struct icsp_route {
    char *image;                  /* canonical: "docker.io/library/busybox:latest" */
    bool has_entry;               /* one matches: */
    struct icsp_conf_entry entry; /* the longest prefix wins */
    struct icsp_lookup_place *places;
    size_t place_count;
    struct icsp_lookup_skipped *skipped; /* in the order of the file */
    size_t skipped_count;
    /* MIR_OK, or why there is no place at all: the location of one makes no reference with the
     * name. The runtime then asks none of them. */
    struct mir_error trouble;
};

/**
 * image  as a user writes it: a name without a host is docker.io's, one without tag and digest
 *        means :latest.
 * err    MIR_E_FORMAT: it is no reference.
 */
MIR_MUST_CHECK bool icsp_lookup_find(const struct icsp_lookup *lookup, struct mir_span image,
                                     struct icsp_route *out, struct mir_error *err);
void icsp_route_release(struct icsp_route *route);
#define auto_route __attribute__((cleanup(icsp_route_release))) struct icsp_route

/** Another entry that matches, with a mirror for such a reference, which the one that won hides: a
 * runtime looks at one entry alone. The longest one; false when there is none. */
bool icsp_lookup_find_hidden(const struct icsp_lookup *lookup, const struct icsp_route *route,
                             struct icsp_conf_entry *out);

/** The entry for pushing to a repository ("host/path"): its flags count, its mirrors do not. False
 * when none matches. */
bool icsp_lookup_find_entry(const struct icsp_lookup *lookup, struct mir_span repo,
                            struct icsp_conf_entry *out);

/* ---- what the policy says ---- */

enum icsp_verdict {
    ICSP_VERDICT_ACCEPT,
    ICSP_VERDICT_REJECT,
    ICSP_VERDICT_SIGNATURE, /* only with a signature, which is not looked at here */
};
/** "accept", "reject", "signature". */
const char *icsp_verdict_name(enum icsp_verdict verdict);

/* Strings are borrowed from the lookup. */
struct icsp_judgement {
    enum icsp_verdict verdict;
    const char *file;        /* NULL: there is no policy */
    const char *transport;   /* NULL: the file's own default decided */
    const char *scope;       /* of that transport; "" is its default */
    const char *requirement; /* the type that decided: "reject", "signedBy" */
};

/** An image of a registry, by its own name and not by the place that serves it. One with tag and
 * digest is judged by its digest alone. err: MIR_E_FORMAT: no reference. */
MIR_MUST_CHECK bool icsp_lookup_judge_image(const struct icsp_lookup *lookup, struct mir_span image,
                                            struct icsp_judgement *out, struct mir_error *err);
/** An image in a file or folder: transport "oci-archive" or "oci", path absolute and without links;
 * NULL for a pipe, which only the transport's default can name. */
void icsp_lookup_judge_path(const struct icsp_lookup *lookup, const char *transport,
                            const char *path, struct icsp_judgement *out);

#endif
