/*
 * Any two texts, divided by a line "====", as registries.conf now and then, by the rules of every
 * generation: what is compared has an action that its causes explain; what is refused says why.
 */
#include <stdint.h>

#include "base/mem.h"
#include "icsp/drain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct icsp_file file_of(struct mir_span text)
{
    return (struct icsp_file){.path = mir_strdup("etc/containers/registries.conf"),
                              .data = mir_strndup(text.ptr, text.len),
                              .len = text.len};
}

static void check(const struct icsp_changes *changes, bool equal)
{
    enum icsp_action most = ICSP_ACTION_NOTHING;
    auto_json *json = icsp_changes_json(changes);

    for (size_t i = 0; i < changes->cause_count; i++) {
        auto_free char *text = icsp_cause_format(&changes->causes[i]);

        if (!changes->causes[i].rule || !text[0])
            abort();
        most = changes->causes[i].action > most ? changes->causes[i].action : most;
    }
    if (most != changes->action || equal != (changes->count == 0) || !json)
        abort();
}

static void compare(const char *generation, struct icsp_file *now, struct icsp_file *then)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_changes changes = {0};

    if (icsp_compare((struct icsp_tree){now, 1}, (struct icsp_tree){then, 1},
                     icsp_generation_find(generation), &changes, &err))
        check(&changes,
              mir_span_equal(mir_span(now->data, now->len), mir_span(then->data, then->len)));
    else if (!err.text[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char divider[] = "====\n";
    struct mir_span text = mir_span(data, size);
    const char *at = size > 0 ? memmem(text.ptr, text.len, divider, strlen(divider)) : NULL;
    size_t head = at ? (size_t)(at - text.ptr) : text.len;
    struct icsp_file now = file_of(mir_span_first(text, head));
    struct icsp_file then =
        file_of(at ? mir_span_from(text, head + strlen(divider)) : mir_span("", 0));

    for (size_t i = 0; icsp_generation_name(i); i++)
        compare(icsp_generation_name(i), &now, &then);
    free(now.path);
    free(now.data);
    free(then.path);
    free(then.data);
    return 0;
}
