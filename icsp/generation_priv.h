/*
 * What differs between generations of the operator, as data: one row of properties for each, looked
 * at where a rule is applied. Nothing else in this directory knows a version number.
 */
#ifndef ICSP_GENERATION_PRIV_H
#define ICSP_GENERATION_PRIV_H

#include "icsp/model_priv.h"

/* What an entry of the registry lists must be. */
enum icsp_entry_rule {
    ICSP_ENTRY_ANY,
    ICSP_ENTRY_STAR,        /* '*' only as a leading "*." before a plain name */
    ICSP_ENTRY_STAR_FILLED, /* the same, and not empty */
};

/* What a source or a mirror must be. */
enum icsp_location_rule {
    ICSP_LOCATION_ANY,
    ICSP_LOCATION_NO_STAR,        /* no '*' */
    ICSP_LOCATION_NO_STAR_FILLED, /* the same, and not empty */
    ICSP_LOCATION_FORMAT,         /* host[:port][/path]; a source may be "*.domain" */
};

/* What keeps a cluster from blocking the registry it runs from. */
enum icsp_guard_rule {
    ICSP_GUARD_HOST,    /* an entry equal to the payload's host is left out */
    ICSP_GUARD_PAYLOAD, /* an entry around the payload is left out, unless a mirror is open */
};

/* How registries.conf says that mirrors are for pulls by digest. */
enum icsp_digest_mark {
    ICSP_MARK_ENTRY,  /* "mirror-by-digest-only" of the entry */
    ICSP_MARK_MIRROR, /* "pull-from-mirror" of each mirror */
};

/* The layout of a JSON file. */
struct icsp_json_style {
    unsigned indent;    /* blanks per level; 0: all on one line */
    bool short_escapes; /* \b and \f, not \u0008 and \u000c */
};

/* What the daemon on a node looks at before it drains the node for a new registries.conf. */
enum icsp_drain_rule {
    ICSP_DRAIN_REBOOTS,   /* nothing: every file that changes reboots */
    ICSP_DRAIN_BY_ENTRY,  /* "mirror-by-digest-only" */
    ICSP_DRAIN_BY_MIRROR, /* "pull-from-mirror" */
};

struct icsp_generation {
    const char *name;     /* as --ocp takes it */
    const char *releases; /* that write the same for ordinary objects */

    /* which objects and fields count */
    bool knows_sets;                /* ImageDigestMirrorSet, ImageTagMirrorSet */
    bool knows_policies;            /* ClusterImagePolicy, ImagePolicy */
    bool knows_pki;                 /* policyType PKI */
    bool knows_search;              /* containerRuntimeSearchRegistries */
    bool empty_allowed_is_given;    /* "allowedRegistries: []" has policy.json written */
    bool empty_identity_is_default; /* "signedIdentity: {}" is as good as none */

    /* what is refused */
    bool api_checks_lists; /* by the API server of the newest releases: the lists of the Image */
    enum icsp_entry_rule entry_rule;
    enum icsp_location_rule location_rule;
    bool
        payload_may_be_allowed; /* the payload alone in the allowed list goes with a blocked list */

    enum icsp_guard_rule guard;

    /* building registries.conf */
    bool has_wildcards;     /* "*.domain" contains other scopes; else it is a name like others */
    bool scope_is_location; /* entries are told apart by location, whatever their prefix */
    bool insecure_before_blocked; /* order of new entries; a blocked one then inherits no flag */
    bool hands_mirrors_down;      /* nested entries without mirrors get those of the source above */
    enum icsp_digest_mark digest_mark;

    /* writing it */
    bool writes_settings; /* short-name-mode, and a base file's credential-helpers and aliases */
    bool writes_layer_helper; /* additional-layer-store-auth-helper */
    bool escapes_controls;    /* all control characters, not only tab, LF and CR */

    /* policy.json */
    bool atomic_is_docker; /* transport "atomic" has all scopes of "docker", deep ones too */
    struct icsp_json_style policy_style;
    struct icsp_json_style namespace_style;

    /* what a node goes through for new files */
    enum icsp_drain_rule drain_rule;
    bool drain_is_known;    /* from the daemon's own newest state */
    bool namespaces_reload; /* /etc/crio/policies reloads CRI-O, and does not reboot */
};

/** What is written when nobody asks for another. */
extern const struct icsp_generation icsp_generation_current;

/** The objects that a generation knows, each with a warning for what it does not know. All is
 * borrowed from objects; there is nothing to free. */
struct icsp_objects icsp_generation_narrow(const struct icsp_generation *generation,
                                           const struct icsp_objects *objects,
                                           struct icsp_findings *findings);

#endif
