/*
 * `node-config --against`: what a node has now beside what it would get, as a difference and as
 * what the cluster does about it.
 */
#ifndef CLI_AGAINST_H
#define CLI_AGAINST_H

#include "cli/emit.h"
#include "icsp/drain.h"

struct against {
    struct emit_files now;       /* the node's own files, those that the operator writes */
    struct emit_files then;      /* what it would get, as far as the folder shows */
    struct icsp_changes changes; /* borrows from both */
};

void against_release(struct against *against);
#define auto_against __attribute__((cleanup(against_release))) struct against

/* What is compared, and how. */
struct against_input {
    const char *dir;                          /* a root, or /etc/containers alone */
    const struct icsp_files *files;           /* what the node would get */
    const struct icsp_generation *generation; /* NULL: the current one */
    bool knows_certificates; /* the objects tell all certificates, so that others go away */
};

/** Read the folder and compare. Notes on what could not be compared go to the log. */
MIR_MUST_CHECK bool against_compare(struct cli *cli, const struct against_input *input,
                                    struct against *out, struct mir_error *err);

/** To standard output: the difference, as git writes it, and what the cluster would do. In colours
 * where that is a terminal. */
void against_print(const struct against *against);

/** The same for programs; the caller owns it. */
json_t *against_json(const struct against *against);

#endif
