/*
 * The objects as typed structs: only what has an effect on a node. Strings are borrowed from the
 * documents, which struct icsp_objects keeps.
 */
#ifndef ICSP_MODEL_PRIV_H
#define ICSP_MODEL_PRIV_H

#include "icsp/findings_priv.h"
#include "icsp/icsp.h"

/* A list of strings. Absent and empty differ for some lists. */
struct icsp_list {
    const char **items; /* owned array of borrowed strings */
    size_t count, capacity;
    bool given;
};

/* One mirror entry: pulls from source may be answered by the mirrors. */
struct icsp_set {
    const struct icsp_origin *object; /* which one it stands in; borrowed */
    const char *field;                /* the list it is an item of; static storage */
    size_t index;                     /* in that list */
    const char *source;
    struct icsp_list mirrors;
    bool never; /* mirrorSourcePolicy: NeverContactSource */
};

struct icsp_sets {
    struct icsp_set *items;
    size_t count, capacity;
    size_t objects; /* how many objects they come from, empty ones too */
};

/* ClusterImagePolicy or ImagePolicy. */
struct icsp_signature_policy {
    const struct icsp_origin *object;
    const char *name;
    const char *ns; /* NULL: ClusterImagePolicy */
    struct icsp_list scopes;
    json_t *policy; /* spec.policy; borrowed; may be NULL */
};

struct icsp_policies {
    struct icsp_signature_policy *items;
    size_t count, capacity;
};

struct icsp_config_map {
    const struct icsp_origin *object;
    const char *ns;
    const char *name;
    json_t *data;   /* borrowed; may be NULL */
    json_t *binary; /* the same */
};

struct icsp_image_spec {
    const struct icsp_origin *object; /* NULL: no Image was given */
    struct icsp_list insecure, blocked, allowed, search;
    const char *trusted_ca; /* NULL if none */
};

struct icsp_objects {
    json_t *documents; /* all that was taken in */
    struct mir_lines *lines;
    struct icsp_origin **origins; /* of files and objects; the others point to them */
    size_t origin_count, origin_capacity;
    char **files; /* owned names */
    size_t file_count, file_capacity;
    size_t count; /* objects seen */
    struct icsp_image_spec image;
    const struct icsp_origin *release_object; /* the ClusterVersion; NULL if none */
    const char *release_image;                /* NULL if it names none */
    struct icsp_sets icsp, idms, itms;
    struct icsp_policies cluster_policies, policies;
    struct icsp_config_map *maps;
    size_t map_count, map_capacity;
};

/* The fields of the Image, as messages name them. */
#define ICSP_FIELD_INSECURE "spec.registrySources.insecureRegistries"
#define ICSP_FIELD_BLOCKED  "spec.registrySources.blockedRegistries"
#define ICSP_FIELD_ALLOWED  "spec.registrySources.allowedRegistries"
#define ICSP_FIELD_SEARCH   "spec.registrySources.containerRuntimeSearchRegistries"

void icsp_list_add(struct icsp_list *list, const char *item);
void icsp_list_add_all(struct icsp_list *list, const struct icsp_list *more);
void icsp_list_release(struct icsp_list *list);
#define auto_list __attribute__((cleanup(icsp_list_release))) struct icsp_list

#endif
