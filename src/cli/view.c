/*
 * Reading or compiling what decides where a node finds its images.
 */
#include "cli/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/emit.h"
#include "cli/objects.h"

#define NODE_REGISTRIES "etc/containers/registries.conf"
#define NODE_DROP_INS   "etc/containers/registries.conf.d/"
#define NODE_POLICY     "etc/containers/policy.json"

bool cli_view_is_option(int id)
{
    return id >= CLI_OPT_NODE_REGISTRIES_CONF && id <= CLI_OPT_VIEW_OCP;
}

bool cli_view_take(struct cli *cli, struct cli_view_args *args, int id, const char *value,
                   struct mir_error *err)
{
    switch ((enum cli_view_option)id) {
    case CLI_OPT_NODE_REGISTRIES_CONF:
        args->registries = value;
        return true;
    case CLI_OPT_NODE_REGISTRIES_CONF_DIR:
        args->folder = value;
        return true;
    case CLI_OPT_NODE_POLICY:
        args->policy = value;
        return true;
    case CLI_OPT_WITH:
        mir_grow(&args->objects, args->object_count, &args->object_capacity,
                 sizeof(*args->objects));
        args->objects[args->object_count++] = value;
        return true;
    case CLI_OPT_VIEW_OCP:
        return emit_take_generation(cli, value, &args->generation, err);
    }
    assert(false);
    return true;
}

void cli_view_args_release(struct cli_view_args *args)
{
    free(args->objects);
    *args = (struct cli_view_args){0};
}

static bool has_files(const struct cli_view_args *args)
{
    return args->registries || args->folder || args->policy;
}

static bool check_args(struct cli *cli, const struct cli_view_args *args, struct mir_error *err)
{
    if (args->object_count > 0 && has_files(args))
        return cli_usage(cli, err, "the files come from --with, or are given: not both");
    if (args->generation && args->object_count == 0)
        return cli_usage(cli, err, "--ocp goes with --with");
    if (args->folder && !args->registries)
        return cli_usage(cli, err, "--registries-conf-dir goes with --registries-conf");
    return true;
}

/* ---- files ---- */

/* A file that is not there is no trouble of a node's, but of the command line's. */
static bool is_there(const char *path, struct mir_error *err)
{
    auto_free char *text = NULL;
    size_t len;

    return !path || mir_file_read(path, ICSP_CONF_MAX, &text, &len, err);
}

static bool read_files(const struct cli_view_args *args, struct cli_view *out,
                       struct mir_error *err)
{
    bool is_here = !has_files(args);

    if (!is_there(args->registries, err) || !is_there(args->policy, err))
        return false;
    if (is_here || args->registries)
        (void)!icsp_lookup_load_registries(out->lookup, args->registries,
                                           is_here ? NULL : (args->folder ? args->folder : ""),
                                           &out->registries_trouble);
    if (is_here || args->policy)
        (void)!icsp_lookup_load_policy(out->lookup, args->policy, &out->policy_trouble);
    return true;
}

/* ---- objects ---- */

static bool compile(struct cli *cli, const struct cli_view_args *args, struct icsp_files *files,
                    struct mir_error *err)
{
    const struct icsp_options how = {.generation = args->generation};
    struct icsp_objects *objects = icsp_objects_new();
    auto_findings findings = {0};
    struct mir_error ignored = MIR_ERROR_INIT;
    bool ok = true;

    for (size_t i = 0; ok && i < args->object_count; i++)
        ok = cli_objects_read(objects, args->objects[i], &findings, err);
    ok = ok && icsp_compile(objects, &how, files, &findings, err);
    icsp_objects_free(objects);
    return emit_findings(cli, &findings, false, ok ? err : &ignored) && ok;
}

static bool take_file(const struct icsp_file *file, struct cli_view *out, struct mir_error *err)
{
    struct mir_span text = mir_span(file->data, file->len);

    if (strcmp(file->path, NODE_REGISTRIES) == 0)
        return icsp_lookup_add_registries(out->lookup, text, file->path, ICSP_CONF_MAIN, err);
    if (mir_starts_with(file->path, NODE_DROP_INS))
        return icsp_lookup_add_registries(out->lookup, text, file->path, ICSP_CONF_DROP_IN, err);
    return strcmp(file->path, NODE_POLICY) != 0 ||
           icsp_lookup_set_policy(out->lookup, text, file->path, err);
}

static bool read_objects(struct cli *cli, const struct cli_view_args *args, struct cli_view *out,
                         struct mir_error *err)
{
    auto_files files = {0};

    if (!compile(cli, args, &files, err))
        return false;
    for (size_t i = 0; i < files.count; i++)
        if (!take_file(&files.items[i], out, err))
            return false;
    return true;
}

bool cli_view_open(struct cli *cli, const struct cli_view_args *args, struct cli_view *out,
                   struct mir_error *err)
{
    *out = (struct cli_view){.lookup = icsp_lookup_new()};
    if (!check_args(cli, args, err))
        return false;
    return args->object_count > 0 ? read_objects(cli, args, out, err) : read_files(args, out, err);
}

void cli_view_release(struct cli_view *view)
{
    icsp_lookup_free(view->lookup);
    *view = (struct cli_view){0};
}
