/*
 * The scene of tests/lib/scene.h.
 */
#include "lib/scene.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/bundle.h"
#include "lib/scratch.h"

const char scene_config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\"}";

struct scene *scene_new(void)
{
    struct scene *scene = mir_alloc(sizeof(*scene));

    for (size_t i = 0; i < SCENE_LAYER_BYTES; i++)
        scene->layer[i] = (char)(i * 31 + i / 251);
    img_digest_of(MIR_HASH_SHA256, mir_span(scene->layer, SCENE_LAYER_BYTES), &scene->layer_digest);
    img_digest_of(MIR_HASH_SHA256, mir_span_of(scene_config), &scene->config_digest);
    scene->manifest = mir_format(
        "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_MANIFEST
        "\",\"config\":{\"mediaType\":"
        "\"" IMG_TYPE_OCI_CONFIG "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
        "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%d}]}",
        scene->config_digest.text, strlen(scene_config), scene->layer_digest.text,
        SCENE_LAYER_BYTES);
    img_digest_of(MIR_HASH_SHA256, mir_span_of(scene->manifest), &scene->manifest_digest);
    fake_clock_init(&scene->clock);
    scene->dir = scratch_new();
    scene->bundle = mir_format("%s/out.tar", scene->dir);
    scene->form = "bundle";
    return scene;
}

void scene_free(struct scene *scene)
{
    if (!scene)
        return;
    copy_free(scene->copy);
    server_stop(scene->server);
    server_stop(scene->elsewhere);
    for (size_t i = 0; i < scene->text_count; i++)
        free(scene->texts[i]);
    free(scene->manifest);
    free(scene->bundle);
    scratch_remove(scene->dir);
    free(scene);
}

char *scene_keep(struct scene *scene, char *text)
{
    if (scene->text_count == SCENE_REPLIES_MAX)
        scratch_die("a scene keeps no more than %d texts", SCENE_REPLIES_MAX);
    scene->texts[scene->text_count++] = text;
    return text;
}

char *scene_manifest_path(struct scene *scene, const struct img_digest *digest)
{
    return scene_keep(scene, mir_format("/v2/ns/app/manifests/%s", digest->text));
}

char *scene_blob_path(struct scene *scene, const struct img_digest *digest)
{
    return scene_keep(scene, mir_format("/v2/ns/app/blobs/%s", digest->text));
}

void scene_reply(struct scene *scene, struct server_reply row)
{
    if (scene->count == SCENE_REPLIES_MAX)
        scratch_die("a scene has no more than %d replies", SCENE_REPLIES_MAX);
    scene->replies[scene->count++] = row;
}

void scene_honest(struct scene *scene)
{
    scene_reply(scene,
                (struct server_reply){.method = "GET",
                                      .path = scene_manifest_path(scene, &scene->manifest_digest),
                                      .status = 200,
                                      .headers = "Content-Type: " IMG_TYPE_OCI_MANIFEST "\r\n",
                                      .body = scene->manifest});
    scene_reply(scene, (struct server_reply){.method = "GET",
                                             .path = scene_blob_path(scene, &scene->config_digest),
                                             .status = 200,
                                             .body = scene_config});
    scene_reply(scene, (struct server_reply){.method = "GET",
                                             .path = scene_blob_path(scene, &scene->layer_digest),
                                             .status = 200,
                                             .body = scene->layer,
                                             .body_len = SCENE_LAYER_BYTES,
                                             .ranges = true});
    scene_reply(scene,
                (struct server_reply){.status = 404,
                                      .body = "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"});
}

static void set_stage(struct scene *scene)
{
    copy_free(scene->copy);
    scene->copy = NULL;
    mir_error_clear(&scene->err);
    atomic_store(&scene->cancel.flag, 0);
    scene->progress = (struct copy_progress){0};
    if (!scene->server)
        scene->server = server_start(scene->replies, scene->count);
}

static bool add_also(struct scene *scene)
{
    auto_free char *source = NULL;

    if (!scene->also)
        return true;
    source =
        mir_format("docker://%s/ns/app:also@%s", server_host(scene->server), scene->also->text);
    return copy_add(scene->copy, source, NULL, false, &scene->err);
}

bool scene_copy(struct scene *scene, const struct img_digest *digest)
{
    auto_free char *source = NULL;
    auto_free char *destination = mir_format("%s:%s", scene->form, scene->bundle);
    const struct copy_options options = {.jobs = 3,
                                         .progress = &scene->progress,
                                         .clock = &scene->clock.clock,
                                         .cancel = &scene->cancel,
                                         .source = {.retry_times = 3, .creds = "user:s3cret-word"}};

    set_stage(scene);
    source = scene->source
                 ? mir_strdup(scene->source)
                 : mir_format("docker://%s/ns/app@%s", server_host(scene->server), digest->text);
    return copy_new(&options, destination, &scene->copy, &scene->err) &&
           copy_add(scene->copy, source, NULL, false, &scene->err) && add_also(scene) &&
           copy_plan(scene->copy, &scene->err) && copy_run(scene->copy, &scene->err);
}

bool scene_copy_honest(struct scene *scene)
{
    if (!scene->server)
        scene_honest(scene);
    return scene_copy(scene, &scene->manifest_digest);
}

static bool look_at(struct scene *scene, const struct bundle_reader *reader)
{
    const struct bundle_verify_sink sink = {0};
    struct bundle_verify_totals totals;

    if (!bundle_verify(reader, 1, &sink, &totals, &scene->err))
        return false;
    if (totals.problems == 0 && totals.images == (scene->also ? 2 : 1))
        return true;
    return mir_fail(&scene->err, MIR_E_DIGEST, "%zu problems, %zu images", totals.problems,
                    totals.images);
}

bool scene_is_whole(struct scene *scene)
{
    enum bundle_form form = strcmp(scene->form, "oci") == 0 ? BUNDLE_FORM_DIR : BUNDLE_FORM_TAR;
    struct bundle_reader *reader;
    bool whole;

    mir_error_clear(&scene->err);
    if (!bundle_reader_open(scene->bundle, form, &reader, &scene->err))
        return false;
    whole = look_at(scene, reader);
    bundle_reader_close(reader);
    return whole;
}
