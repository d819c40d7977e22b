/*
 * A node's view of images: which files decide where they come from, for commands that look ahead.
 *
 * Either the files of a node, or the objects of a cluster, which are compiled to those files; or,
 * with neither, what this machine's own runtime reads. What is not given of a node's files counts
 * as absent: this machine's has nothing to say about another.
 *
 * Threads: the main thread.
 */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "cli/cli.h"
#include "icsp/icsp.h"
#include "icsp/lookup.h"

/* Ids from here on belong to this file. */
enum cli_view_option {
    CLI_OPT_NODE_REGISTRIES_CONF = 2000,
    CLI_OPT_NODE_REGISTRIES_CONF_DIR,
    CLI_OPT_NODE_POLICY,
    CLI_OPT_WITH,
    CLI_OPT_VIEW_OCP,
};

#define CLI_VIEW_OPTIONS                                                                           \
    {"registries-conf", 0, "FILE", "the node's registries.conf", CLI_OPT_NODE_REGISTRIES_CONF},    \
        {"registries-conf-dir", 0, "DIR", "and its folder of drop-ins",                            \
         CLI_OPT_NODE_REGISTRIES_CONF_DIR},                                                        \
        {"policy", 0, "FILE", "the node's policy.json", CLI_OPT_NODE_POLICY},                      \
        {"with", 0, "OBJECTS",                                                                     \
         "instead: what a cluster writes for these objects, a file, a folder or \"-\" "            \
         "(repeatable)",                                                                           \
         CLI_OPT_WITH},                                                                            \
    {                                                                                              \
        "ocp", 0, "VERSION", "with --with: as this generation of the cluster writes it",           \
            CLI_OPT_VIEW_OCP                                                                       \
    }

struct cli_view_args {
    const char *registries, *folder, *policy;
    const char **objects;
    size_t object_count, object_capacity;
    const struct icsp_generation *generation;
};

bool cli_view_is_option(int id);
/** Take one of the options above; id is theirs (asserted). err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_view_take(struct cli *cli, struct cli_view_args *args, int id,
                                  const char *value, struct mir_error *err);
void cli_view_args_release(struct cli_view_args *args);

struct cli_view {
    struct icsp_lookup *lookup;
    /* MIR_OK, or why the runtime refuses the files, and with them every image. */
    struct mir_error registries_trouble;
    struct mir_error policy_trouble; /* the same of the policy */
};

/** Read or compile. What is found in objects goes to the log. err: files that are not there,
 * objects that a cluster rejects; what the runtime refuses is recorded in *out. */
MIR_MUST_CHECK bool cli_view_open(struct cli *cli, const struct cli_view_args *args,
                                  struct cli_view *out, struct mir_error *err);
void cli_view_release(struct cli_view *view);
#define auto_view __attribute__((cleanup(cli_view_release))) struct cli_view

#endif
