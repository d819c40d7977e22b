/*
 * Cluster objects and the files they put on a node.
 *
 * A small compiler: objects (json_t) -> model -> validate -> guard -> merge -> build -> bytes.
 * Every step is one file of this directory. What comes out is, byte for byte, what the Machine
 * Config Operator (MCO) writes for the same objects on every node, today or in one of its older
 * generations.
 *
 *     struct icsp_objects *objects = icsp_objects_new();
 *     mir_yaml_parse_lines(text, "image.yaml", icsp_objects_lines(objects), &documents, &err)
 *     icsp_objects_add(objects, documents, "image.yaml", &findings, &err)   for every file
 *     icsp_compile(objects, &options, &files, &findings, &err)
 *
 * And the other way: from a mapping of source to mirror repositories the objects that make a
 * cluster pull from the mirror (icsp_emit()).
 *
 * Threads: no shared state; one object, one thread.
 */
#ifndef ICSP_ICSP_H
#define ICSP_ICSP_H

#include <jansson.h>

#include "base/error.h"
#include "base/span.h"
#include "base/tree.h"
#include "icsp/findings.h"

#define ICSP_OBJECTS_MAX 1000000      /* objects taken in at once */
#define ICSP_FILE_MAX    (256u << 20) /* bytes of one file that is written */
#define ICSP_LISTS_MAX   4            /* a List in a List ... */

/* ---- objects in ---- */

struct icsp_objects;

struct icsp_objects *icsp_objects_new(void);
void icsp_objects_free(struct icsp_objects *objects);

/** The table for mir_yaml_parse_lines(): documents read with it have lines in messages. Borrowed.
 */
struct mir_lines *icsp_objects_lines(struct icsp_objects *objects);

/**
 * Take in the objects of one file, in order; the items of a List are objects of their own.
 *
 * documents  an array of documents, as mir_yaml_parse() gives it; kept alive as long as objects.
 * name       the file, for messages; copied.
 * err        MIR_E_FORMAT for a field of the wrong type, naming object and field.
 *
 * Kinds read: Image "cluster", ClusterVersion "version", ImageContentSourcePolicy,
 * ImageDigestMirrorSet, ImageTagMirrorSet, ClusterImagePolicy and ImagePolicy (v1 and v1alpha1),
 * ConfigMap. Others are passed over with a note. Order matters as the reference says: only where
 * two policies share a scope, and for which of several errors is named.
 */
MIR_MUST_CHECK bool icsp_objects_add(struct icsp_objects *objects, json_t *documents,
                                     const char *name, struct icsp_findings *findings,
                                     struct mir_error *err);

/** Is there such a ConfigMap among them? */
bool icsp_objects_has_map(const struct icsp_objects *objects, const char *ns, const char *name);

/* ---- files out ---- */

struct icsp_file {
    char *path; /* on the node, without the leading '/': "etc/containers/registries.conf" */
    char *data;
    size_t len;
    bool is_base; /* the file every node has, untouched */
};

struct icsp_files {
    struct icsp_file *items; /* registries.conf and policy.json first, always; then by path */
    size_t count, capacity;
    struct icsp_file_index *index; /* private; NULL when the list is complete */
};

void icsp_files_release(struct icsp_files *files);
#define auto_files __attribute__((cleanup(icsp_files_release))) struct icsp_files
const struct icsp_file *icsp_files_find(const struct icsp_files *files, const char *path);

struct icsp_generation;

/** The generation of the operator with this name ("4.6", ..., "current"); NULL when there is none.
 * Static storage. */
const struct icsp_generation *icsp_generation_find(const char *name);
/** All of them, the oldest first: the name, and the releases that write the same for ordinary
 * objects. NULL behind the last. */
const char *icsp_generation_name(size_t index);
const char *icsp_generation_releases(size_t index);

/* A file that every node has, when it is not the usual one. Both are borrowed. */
struct icsp_base_file {
    const char *name; /* for messages */
    struct mir_span text;
};

struct icsp_options {
    const char *release_image; /* instead of a ClusterVersion; NULL: take the ClusterVersion's. With
                                  neither, the release guard is left out, with a note */
    const struct icsp_generation *generation;     /* NULL: "current" */
    const struct icsp_base_file *base_registries; /* registries.conf, version 2; NULL: the usual */
    const struct icsp_base_file *base_policy;     /* policy.json; NULL: the usual */
};

/**
 * Compile. Without an Image object, one with an empty spec is meant, as every cluster has one.
 *
 * files     written only on success. A base file that nothing changes is handed out as it is.
 * findings  notes and warnings are appended, and the error too.
 * err       what MCO rejects: MIR_E_FORMAT or MIR_E_CONFLICT with object, field, value and rule,
 * and a hint with the way out.
 */
MIR_MUST_CHECK bool icsp_compile(const struct icsp_objects *objects,
                                 const struct icsp_options *options, struct icsp_files *files,
                                 struct icsp_findings *findings, struct mir_error *err);

/* ---- from a mapping to objects ---- */

/* One image and where its copy is. All strings are borrowed. */
struct icsp_pair {
    const char *source_host; /* with port */
    const char *source_repo; /* path below it */
    const char *source_tag;  /* NULL if the image is known by digest alone */
    const char *mirror_host;
    const char *mirror_repo;
    const char *mirror_tag; /* NULL if none */
};

enum icsp_kind_flag {
    ICSP_KIND_ICSP = 1,
    ICSP_KIND_IDMS = 2,
    ICSP_KIND_ITMS = 4,
};

enum icsp_scope_level {
    ICSP_SCOPE_REPOSITORY, /* one entry for each source repository */
    ICSP_SCOPE_NAMESPACE,  /* all but the last path component, where the mirror keeps the path */
    ICSP_SCOPE_REGISTRY,   /* the whole source host, where the mirror keeps the path */
    ICSP_SCOPE_AUTO,       /* for each image the broadest that is proved to be right */
};

/* Both are borrowed by icsp_emit(). */
struct icsp_ca {
    char *host; /* with port */
    char *pem;  /* certificate bundle */
};

struct icsp_texts {
    const char *const *items;
    size_t count;
};

struct icsp_emit_options {
    unsigned kinds; /* enum icsp_kind_flag, or-ed */
    enum icsp_scope_level level;
    const char *name;           /* of the mirror objects; NULL: "mirror" */
    bool insecure;              /* mirror hosts go into insecureRegistries */
    bool allow_only;            /* sources, mirror hosts and the internal registry are allowed */
    bool block_source;          /* source hosts are blocked */
    struct icsp_texts allow;    /* more allowedRegistries */
    struct icsp_texts block;    /* more blockedRegistries */
    struct icsp_texts import;   /* allowedRegistriesForImport */
    struct icsp_texts external; /* externalRegistryHostnames */
    const struct icsp_ca *cas;
    size_t ca_count;
    struct icsp_objects *with;       /* what the cluster has already; NULL: not known. Objects that
                                        those written now take the place of are taken out of it */
    const struct icsp_options *node; /* how the cluster compiles them all; NULL: as one of today */
};

#define ICSP_OBJECT_BYTES_MAX 250000 /* what `oc apply` can take of a mirror object, as YAML */

struct icsp_object_file {
    const char *name; /* "imagecontentsourcepolicy.yaml", ...; static storage; objects that were cut
                         for their size follow each other under one name */
    json_t *object;   /* owned */
};

struct icsp_object_files {
    struct icsp_object_file *items;
    size_t count, capacity;
};

void icsp_object_files_release(struct icsp_object_files *files);
#define auto_object_files                                                                          \
    __attribute__((cleanup(icsp_object_files_release))) struct icsp_object_files

/**
 * Make the objects. Same pairs in whatever order, same objects.
 *
 * Every image of the mapping resolves to where it is: a coarse scope is used only where the mirror
 * keeps the source path, and where for every image of the mapping the most specific scope that
 * contains it leads to its mirror; otherwise the images in question get scopes of their own, with a
 * note. All kinds use the same scopes, because a runtime looks at the most specific entry only, so
 * that a narrow entry of one kind would hide a broader one of the other. With ICSP_SCOPE_AUTO, or
 * with objects that the cluster has, this is proved by compiling all of them together; an entry
 * that would hide one of the cluster's takes its mirrors along.
 *
 * err  MIR_E_USAGE: no pair, no kind, or both lists asked for; MIR_E_FORMAT for a host or name that
 *      no cluster would take; MIR_E_CONFLICT: with what the cluster has, an image cannot resolve.
 */
MIR_MUST_CHECK bool icsp_emit(const struct icsp_pair *pairs, size_t count,
                              const struct icsp_emit_options *options,
                              struct icsp_object_files *out, struct icsp_findings *findings,
                              struct mir_error *err);

/** Would a cluster take it as the name of an object? */
bool icsp_is_object_name(const char *name);

/* ---- from an old kind to a new one ---- */

/**
 * Every ImageContentSourcePolicy of one file as an ImageDigestMirrorSet, which means the same on a
 * node of a generation that knows it.
 *
 * objects    new; documents were read with icsp_objects_lines(objects), for the lines in messages.
 * out        an array of objects, never empty; the caller owns it.
 * findings   what else the file holds and is left as it is; what the API server of the new kind
 *            would refuse although that of the old one took it.
 * err        MIR_E_FORMAT: a field of the wrong type, no usable name, nothing to migrate.
 */
MIR_MUST_CHECK bool icsp_migrate(struct icsp_objects *objects, json_t *documents, const char *name,
                                 json_t **out, struct icsp_findings *findings,
                                 struct mir_error *err);

#endif
