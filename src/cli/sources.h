/*
 * What this machine's registries.conf and policy.json say, and the options about them: the rules of
 * a copy, and what else is in those files for whoever asks a registry.
 */
#ifndef CLI_SOURCES_H
#define CLI_SOURCES_H

#include "cli/cli.h"
#include "copy/copy.h"
#include "icsp/lookup.h"

/* Ids from here on belong to this file. */
enum cli_sources_option {
    CLI_OPT_REGISTRIES_CONF = 1100,
    CLI_OPT_REGISTRIES_CONF_DIR,
    CLI_OPT_NO_REGISTRIES_CONF,
    CLI_OPT_POLICY,
    CLI_OPT_INSECURE_POLICY,
};

/* For commands that ask registries. */
#define CLI_REGISTRIES_OPTIONS                                                                     \
    {"registries-conf", 0, "FILE",                                                                 \
     "mirrors, blocked and insecure registries (default: as podman and CRI-O find it)",            \
     CLI_OPT_REGISTRIES_CONF},                                                                     \
        {"registries-conf-dir", 0, "DIR",                                                          \
         "its drop-ins (default: /etc/containers/registries.conf.d and the user's own; "           \
         "\"\": none)",                                                                            \
         CLI_OPT_REGISTRIES_CONF_DIR},                                                             \
    {                                                                                              \
        "no-registries-conf", 0, NULL,                                                             \
            "pass over all of these: ask for images by their own names",                           \
            CLI_OPT_NO_REGISTRIES_CONF                                                             \
    }

/* For commands that copy. */
#define CLI_POLICY_OPTIONS                                                                         \
    {"policy", 0, "FILE",                                                                          \
     "which images may be copied (default: ~/.config/containers/policy.json or "                   \
     "/etc/containers/policy.json)",                                                               \
     CLI_OPT_POLICY},                                                                              \
    {                                                                                              \
        "insecure-policy", 0, NULL, "copy whatever policy.json says", CLI_OPT_INSECURE_POLICY      \
    }

struct cli_sources {
    const char *registries_conf, *registries_conf_dir, *policy; /* borrowed from argv, or NULL */
    bool no_registries_conf, insecure_policy;
    struct icsp_lookup *lookup; /* NULL until it is opened */
    struct copy_rules rules;
};

/** Empty it. */
void cli_sources_release(struct cli_sources *sources);

bool cli_sources_is_option(int id);
/** Take one of the options above; id is theirs. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_sources_take(struct cli_sources *sources, int id, const char *value,
                                     struct mir_error *err);

/** Read registries.conf and what belongs to it, unless it is off. err: MIR_E_USAGE, naming the file
 * and the way round it. */
MIR_MUST_CHECK bool cli_sources_read_registries(struct cli_sources *sources, struct mir_error *err);
/** Read policy.json, unless it is off; the same errors. */
MIR_MUST_CHECK bool cli_sources_read_policy(struct cli_sources *sources, struct mir_error *err);

/** For commands that only look: read registries.conf when one of the places is in a registry, and
 * set what it says in the options. */
MIR_MUST_CHECK bool cli_sources_look(struct cli_sources *sources, const char *const *places,
                                     size_t count, struct copy_options *look,
                                     struct mir_error *err);

/** The rules for a copy by what was read. Borrowed from sources, which must not move. */
const struct copy_rules *cli_sources_rules(struct cli_sources *sources);

/** credential-helpers, into the options of one side. Borrowed from sources. */
void cli_sources_set_helpers(const struct cli_sources *sources, struct reg_options *side);

#endif
