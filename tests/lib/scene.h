/*
 * A scene for tests of whole copies: an image of one config and one layer, a scripted registry that
 * has it, and a bundle to copy it into. A test adds replies that play foul; those added first win.
 *
 * Threads: one scene, one thread.
 */
#ifndef TESTS_LIB_SCENE_H
#define TESTS_LIB_SCENE_H

#include "base/clock.h"
#include "copy/copy.h"
#include "image/digest.h"
#include "lib/fake_clock.h"
#include "lib/server.h"

#define SCENE_LAYER_BYTES 300000
#define SCENE_REPLIES_MAX 64

extern const char scene_config[];

struct scene {
    char layer[SCENE_LAYER_BYTES];
    struct img_digest layer_digest, config_digest, manifest_digest;
    char *manifest;
    char *texts[SCENE_REPLIES_MAX]; /* owned; replies borrow them */
    size_t text_count;
    struct server_reply replies[SCENE_REPLIES_MAX];
    size_t count;
    struct server *server, *elsewhere;
    struct fake_clock clock;
    struct mir_cancel cancel;
    char *dir, *bundle; /* dir holds nothing but the bundle */
    const char *form;   /* "bundle", or "oci" */
    const char *source; /* what is copied instead of the registry's image, or NULL; borrowed */
    const struct img_digest *also; /* a second image to copy, tagged "also", or NULL; borrowed */
    struct copy_progress progress;
    struct copy *copy; /* of the last scene_copy() */
    struct mir_error err;
};

struct scene *scene_new(void);
/** NULL is fine. */
void scene_free(struct scene *scene);

/** Own a text (or any bytes) as long as the scene lives; returns it. */
char *scene_keep(struct scene *scene, char *text);
/** "/v2/ns/app/manifests/DIGEST" and "/v2/ns/app/blobs/DIGEST"; owned by the scene. */
char *scene_manifest_path(struct scene *scene, const struct img_digest *digest);
char *scene_blob_path(struct scene *scene, const struct img_digest *digest);
void scene_reply(struct scene *scene, struct server_reply row);
/** The rest of the registry, as it should be; what it does not have is 404. */
void scene_honest(struct scene *scene);

/** Copy HOST/ns/app@DIGEST into the bundle; the result is in scene->err. The server is started by
 * the first of several, with the replies there are then. */
bool scene_copy(struct scene *scene, const struct img_digest *digest);
/** scene_honest() the first time, and copy the image. */
bool scene_copy_honest(struct scene *scene);

/** Does the bundle hold the image (and the other), and is nothing wrong with it? False says why in
 * scene->err. */
bool scene_is_whole(struct scene *scene);

#endif
