/*
 * The release guard: what of blockedRegistries takes effect, given the image the cluster runs. An
 * entry that contains the payload is left out, unless the payload has a mirror that is not blocked;
 * then the entry stays, and the payload's own repository is allowed by policy.
 *
 * To find that out, a trial configuration is built from the lists and the digest mirrors, and the
 * payload is looked up in it as a node would. That trial can fail on set-ups that are otherwise
 * fine; MCO then goes on with all three lists empty. We do the same, and warn loudly.
 *
 * Older generations only know the payload's host, and leave out the first entry that equals it.
 */
#include "icsp/guard_priv.h"

#include "base/mem.h"
#include "icsp/findings_priv.h"
#include "icsp/registries_priv.h"
#include "icsp/scope_priv.h"

enum verdict {
    VERDICT_NO_MIRROR,
    VERDICT_HAS_MIRROR,
    VERDICT_FAILED, /* the trial itself */
};

/* The trial: the payload, the entry a node would use for it, and the lists. */
struct trial {
    const struct icsp_generation *generation;
    const struct icsp_image_spec *image;
    struct icsp_reference payload;
    const struct icsp_registry *found;
    size_t matched;
    char why[512]; /* it failed */
};

void icsp_guarded_release(struct icsp_guarded *guarded)
{
    icsp_list_release(&guarded->blocked);
    icsp_list_release(&guarded->policy_blocked);
    icsp_list_release(&guarded->allowed);
    free(guarded->payload);
    *guarded = (struct icsp_guarded){0};
}

static bool is_blocked(const struct icsp_image_spec *image, struct mir_span repo)
{
    for (size_t i = 0; i < image->blocked.count; i++)
        if (icsp_scope_is_nested(repo, mir_span_of(image->blocked.items[i])))
            return true;
    return false;
}

/* One place the payload could come from. */
static enum verdict try_location(struct trial *trial, const char *location)
{
    auto_free char *text = NULL;
    struct icsp_reference ref;

    if (!icsp_rewrite(trial->payload.text, trial->matched, location, &text, &ref)) {
        (void)snprintf(trial->why, sizeof(trial->why),
                       "the payload would be asked for as \"%.300s\", which is no reference", text);
        return VERDICT_FAILED;
    }
    return is_blocked(trial->image, ref.repo) ? VERDICT_NO_MIRROR : VERDICT_HAS_MIRROR;
}

/* All places are rewritten, even after one was found good: a later one can fail the trial. */
static enum verdict try_entry(struct trial *trial)
{
    enum verdict verdict = VERDICT_NO_MIRROR;

    for (size_t i = 0; i < trial->found->mirror_count; i++) {
        const struct icsp_mirror *mirror = &trial->found->mirrors[i];
        enum verdict one;

        if (!icsp_mirror_applies(trial->found, mirror, &trial->payload))
            continue;
        one = try_location(trial, mirror->location);
        if (one == VERDICT_FAILED)
            return one;
        if (one == VERDICT_HAS_MIRROR)
            verdict = one;
    }
    if (trial->found->location[0]) {
        enum verdict one = try_location(trial, trial->found->location);

        return one == VERDICT_NO_MIRROR ? verdict : one;
    }
    /* A wildcard entry asks for the payload under its own name. */
    return is_blocked(trial->image, trial->payload.repo) ? verdict : VERDICT_HAS_MIRROR;
}

static enum verdict try_payload(struct trial *trial, const struct icsp_merged *digest)
{
    static const struct icsp_merged no_tags = {0};
    auto_registries registries;
    struct icsp_registries_input input = {.digest = digest,
                                          .tag = &no_tags,
                                          .blocked = &trial->image->blocked,
                                          .insecure = &trial->image->insecure};
    const char *wildcard;
    const char *nested;

    icsp_registries_init(&registries, trial->generation);
    if (!icsp_registries_build(&registries, &input, &wildcard, &nested)) {
        (void)snprintf(trial->why, sizeof(trial->why),
                       "\"%.200s\" would have to inherit the mirrors of wildcard \"%.200s\"",
                       nested, wildcard);
        return VERDICT_FAILED;
    }
    trial->found = icsp_registries_find(&registries, trial->payload.text, &trial->matched);
    return trial->found ? try_entry(trial) : VERDICT_NO_MIRROR;
}

static void pass_all(const struct icsp_image_spec *image, struct icsp_guarded *out)
{
    icsp_list_add_all(&out->blocked, &image->blocked);
    icsp_list_add_all(&out->policy_blocked, &image->blocked);
    icsp_list_add_all(&out->allowed, &image->allowed);
}

static void warn_kept_out(const struct icsp_image_spec *image, const char *entry,
                          const char *payload, struct icsp_findings *findings)
{
    icsp_say(
        findings, ICSP_WARNING,
        (struct icsp_place){.object = image->object,
                            .field = ICSP_FIELD_BLOCKED,
                            .value = entry,
                            .rule = "payload-not-blocked"},
        "mirror the payload by digest to a registry that is not blocked, or leave the entry out",
        "not blocked: the cluster's own release image lives there (%s)", payload);
}

/* An entry that contains the payload, when the payload has another place to come from. */
static void keep_with_mirror(const char *entry, struct icsp_guarded *out)
{
    icsp_list_add(&out->blocked, entry);
    if (strcmp(entry, out->payload) != 0)
        icsp_list_add(&out->policy_blocked, entry);
    icsp_list_add(&out->allowed, out->payload);
}

static bool reject_release(const char *release_image, struct icsp_findings *findings,
                           struct mir_error *err)
{
    return icsp_reject(findings, err, MIR_E_FORMAT,
                       (struct icsp_place){.label = "release image",
                                           .value = release_image,
                                           .rule = "release-image"},
                       "give it as host/path@sha256:..., as oc adm release info prints it",
                       "not a fully qualified reference in canonical form");
}

/* The guard of old: the payload's host alone counts, and of several equal entries the first. */
static void guard_host(const struct trial *trial, struct icsp_guarded *out,
                       struct icsp_findings *findings)
{
    const struct icsp_image_spec *image = trial->image;
    struct mir_span host = trial->payload.repo;
    bool left_out = false;
    size_t slash;

    if (mir_span_find(host, '/', &slash))
        host = mir_span_first(host, slash);
    for (size_t i = 0; i < image->blocked.count; i++) {
        const char *entry = image->blocked.items[i];

        if (!left_out && mir_span_is(host, entry)) {
            warn_kept_out(image, entry, out->payload, findings);
            left_out = true;
            continue;
        }
        icsp_list_add(&out->blocked, entry);
        icsp_list_add(&out->policy_blocked, entry);
    }
    icsp_list_add_all(&out->allowed, &image->allowed);
}

/* Distribute the entries of blockedRegistries. */
static void guard_lists(struct trial *trial, const struct icsp_merged *digest,
                        struct icsp_guarded *out, struct icsp_findings *findings)
{
    const struct icsp_image_spec *image = trial->image;
    bool tried = false;
    enum verdict verdict = VERDICT_NO_MIRROR;

    for (size_t i = 0; i < image->blocked.count; i++) {
        const char *entry = image->blocked.items[i];

        if (!icsp_scope_is_nested(trial->payload.repo, mir_span_of(entry))) {
            icsp_list_add(&out->blocked, entry);
            icsp_list_add(&out->policy_blocked, entry);
            continue;
        }
        if (!tried)
            verdict = try_payload(trial, digest);
        tried = true;
        if (verdict == VERDICT_FAILED)
            return;
        if (verdict == VERDICT_HAS_MIRROR)
            keep_with_mirror(entry, out);
        else
            warn_kept_out(image, entry, out->payload, findings);
    }
    icsp_list_add_all(&out->allowed, &image->allowed);
}

bool icsp_guard(const struct icsp_generation *generation, const struct icsp_image_spec *image,
                const char *release_image, const struct icsp_merged *digest,
                struct icsp_guarded *out, struct icsp_findings *findings, struct mir_error *err)
{
    struct trial trial = {.generation = generation, .image = image};

    *out = (struct icsp_guarded){0};
    if (!release_image) {
        pass_all(image, out);
        return true;
    }
    if (!icsp_reference_parse(mir_span_of(release_image), &trial.payload))
        return reject_release(release_image, findings, err);
    out->payload = mir_strndup(trial.payload.repo.ptr, trial.payload.repo.len);
    switch (generation->guard) {
    case ICSP_GUARD_HOST:
        guard_host(&trial, out, findings);
        break;
    case ICSP_GUARD_PAYLOAD:
        guard_lists(&trial, digest, out, findings);
        break;
    }
    if (!trial.why[0])
        return true;
    icsp_list_release(&out->blocked);
    icsp_list_release(&out->policy_blocked);
    icsp_list_release(&out->allowed);
    icsp_say(
        findings, ICSP_WARNING,
        (struct icsp_place){
            .object = image->object, .field = "spec.registrySources", .rule = "guard-failed"},
        "give the mirror of the payload a path, or leave the entry that blocks the payload out",
        "no blocked and no allowed registry takes effect: the check whether the payload is "
        "blocked fails: %s",
        trial.why);
    return true;
}
