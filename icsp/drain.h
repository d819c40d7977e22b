/*
 * What a cluster does to a node when its files become others: nothing, reload CRI-O, drain the
 * node, reboot it; and which line of which file decides that.
 *
 *     icsp_compare(&now, &then, generation, &changes, &err)
 *
 * The rules are those of the operator's daemon on the node with its own node disruption policies; a
 * cluster may have been given others.
 *
 * Threads: plain values.
 */
#ifndef ICSP_DRAIN_H
#define ICSP_DRAIN_H

#include <jansson.h>

#include "icsp/icsp.h"

/* In the order of how much they disturb: each includes those before it, but that a reboot reloads
 * nothing. */
enum icsp_action {
    ICSP_ACTION_NOTHING,
    ICSP_ACTION_RELOAD, /* CRI-O reads its files again */
    ICSP_ACTION_DRAIN,  /* the node is emptied before */
    ICSP_ACTION_REBOOT, /* the same, and then rebooted */
};

/** "nothing", "reload", "drain", "reboot". */
const char *icsp_action_word(enum icsp_action action);
/** False when the word is none of them. */
bool icsp_action_parse(const char *word, enum icsp_action *out);

/* Files as they are or will be on a node; borrowed. Paths as in struct icsp_file. */
struct icsp_tree {
    struct icsp_file *items;
    size_t count;
};

/* One file that is not the same. All is borrowed from the two trees. */
struct icsp_change {
    const char *path;
    const struct icsp_file *now;  /* NULL: it is new */
    const struct icsp_file *then; /* NULL: it goes away */
    enum icsp_action action;      /* what this file alone would take */
};

/* Why an action is taken. What does not apply is NULL. */
struct icsp_cause {
    enum icsp_action action;
    const char *path; /* borrowed from the trees */
    bool is_now;      /* the line is one of the file as it is now: of what goes away */
    unsigned line;    /* 0: the whole file */
    char *entry;      /* the scope of the [[registry]] */
    const char *rule; /* "mirror-added": for programs; static storage */
    char *text;
    bool is_certain; /* known from the daemon itself, not only from what is around it */
};

struct icsp_changes {
    struct icsp_change *items; /* by path */
    size_t count, capacity;
    struct icsp_cause *causes; /* of the files, in their order; in a file by what is looked at */
    size_t cause_count, cause_capacity;
    enum icsp_action action; /* the greatest of all */
};

void icsp_changes_release(struct icsp_changes *changes);
#define auto_changes __attribute__((cleanup(icsp_changes_release))) struct icsp_changes

/**
 * Compare what a node has with what it would get.
 *
 * now   only files that the operator writes: what is here and not in then counts as removed.
 * then  as icsp_compile() gives it.
 * out   written only on success; borrows from both.
 * err   MIR_E_FORMAT: a registries.conf that cannot be read, "PATH:LINE:COLUMN: ...".
 */
MIR_MUST_CHECK bool icsp_compare(struct icsp_tree now, struct icsp_tree then,
                                 const struct icsp_generation *generation, struct icsp_changes *out,
                                 struct mir_error *err);

/** "PATH:LINE: ENTRY: TEXT", one line; the caller frees. */
char *icsp_cause_format(const struct icsp_cause *cause);
/** {"action": ..., "files": [...], "causes": [...]}, without the contents; the caller owns it. */
json_t *icsp_changes_json(const struct icsp_changes *changes);

#endif
