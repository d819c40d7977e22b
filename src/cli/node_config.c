/*
 * mirror node-config: what a cluster writes on its nodes for given objects, without a cluster; and
 * what it would do to a node that has other files now.
 */
#include "base/file.h"
#include "base/mem.h"
#include "cli/against.h"
#include "cli/objects.h"

#define BASE_FILE_MAX (16u << 20)

enum {
    OPT_OUTPUT_DIR = 1,
    OPT_RELEASE_IMAGE,
    OPT_OCP,
    OPT_BASE_REGISTRIES,
    OPT_BASE_POLICY,
    OPT_ONLY,
    OPT_STRICT,
    OPT_JSON,
    OPT_AGAINST,
    OPT_AT_MOST,
    OPT_EXIT_CODE,
};

static const struct cli_option options[] = {
    {"output-dir", 'o', "DIR", "write the node's tree below DIR instead of to standard output",
     OPT_OUTPUT_DIR},
    {"release-image", 0, "REF",
     "the image the cluster runs, for clusters whose ClusterVersion is not given",
     OPT_RELEASE_IMAGE},
    {"ocp", 0, "VERSION",
     "what this generation of the cluster writes: 4.6, 4.10, 4.12, 4.14, 4.18 or current (default)",
     OPT_OCP},
    {"base-registries-conf", 0, "FILE",
     "the registries.conf that nodes have before any object, if not the usual one",
     OPT_BASE_REGISTRIES},
    {"base-policy", 0, "FILE",
     "the policy.json that nodes have before any object, if not the usual one", OPT_BASE_POLICY},
    {"only", 0, "FILE", "print this file alone, as it is: registries.conf, policy.json, ...",
     OPT_ONLY},
    {"strict", 0, NULL, "fail, and write nothing, where there is a warning", OPT_STRICT},
    {"json", 0, NULL,
     "print what is wrong as JSON to standard output (instead of the files; those are written with "
     "--output-dir)",
     OPT_JSON},
    {"against", 0, "DIR",
     "show how the files of a node would change, and what the cluster would do: nothing, reload, "
     "drain, reboot; DIR is the node's root or its /etc/containers",
     OPT_AGAINST},
    {"at-most", 0, "ACTION",
     "with --against: fail if the cluster would do more than nothing, reload, drain or reboot",
     OPT_AT_MOST},
    {"exit-code", 0, NULL, "with --against: end with status 1 when a file would change",
     OPT_EXIT_CODE},
};

struct arguments {
    const char **inputs; /* files, folders, "-" */
    size_t count, capacity;
    struct icsp_options compile;
    const char *base_registries, *base_policy; /* paths */
    struct emit_output output;
    bool json;                /* findings go to standard output */
    const char *against;      /* a node's folder; NULL: none */
    enum icsp_action at_most; /* more is a failure */
    bool exit_code;           /* a file that changes is one */
    bool knows_certificates;  /* found out while objects are read */
};

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    switch (id) {
    case OPT_OUTPUT_DIR:
        args->output.dir = value;
        return true;
    case OPT_RELEASE_IMAGE:
        args->compile.release_image = value;
        return true;
    case OPT_OCP:
        return emit_take_generation(cli, value, &args->compile.generation, err);
    case OPT_BASE_REGISTRIES:
        args->base_registries = value;
        return true;
    case OPT_BASE_POLICY:
        args->base_policy = value;
        return true;
    case OPT_ONLY:
        args->output.only = value;
        return true;
    case OPT_STRICT:
        return cli_bool("strict", value, &args->output.strict, err);
    case OPT_JSON:
        return cli_bool("json", value, &args->json, err);
    case OPT_AGAINST:
        args->against = value;
        return true;
    case OPT_AT_MOST:
        return icsp_action_parse(value, &args->at_most) ||
               cli_usage(cli, err, "--at-most %s: must be nothing, reload, drain or reboot", value);
    case OPT_EXIT_CODE:
        return cli_bool("exit-code", value, &args->exit_code, err);
    default:
        break;
    }
    mir_grow(&args->inputs, args->count, &args->capacity, sizeof(*args->inputs));
    args->inputs[args->count++] = value;
    return true;
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (args->count == 0)
        return cli_usage(cli, err, "name the files or folders that hold the objects");
    if (args->output.dir && args->output.only)
        return cli_usage(cli, err, "--only prints one file, --output-dir writes all");
    if (args->json && args->output.only)
        return cli_usage(cli, err, "--only prints one file, --json what is wrong");
    if (args->against && args->output.only)
        return cli_usage(cli, err, "--only prints one file, --against what changes");
    if (!args->against && (args->exit_code || args->at_most != ICSP_ACTION_REBOOT))
        return cli_usage(cli, err, "--at-most and --exit-code go with --against");
    return true;
}

/* ---- the command ---- */

/* Read a base file, if one is named; the caller frees *text. */
static bool read_base(const char *path, char **text, struct icsp_base_file *file,
                      const struct icsp_base_file **out, struct mir_error *err)
{
    size_t len;

    if (!path)
        return true;
    if (!mir_file_read(path, BASE_FILE_MAX, text, &len, err))
        return false;
    *file = (struct icsp_base_file){.name = path, .text = mir_span(*text, len)};
    *out = file;
    return true;
}

static bool compile(struct arguments *args, struct icsp_files *files,
                    struct icsp_findings *findings, struct mir_error *err)
{
    auto_free char *registries_text = NULL;
    auto_free char *policy_text = NULL;
    struct icsp_base_file registries;
    struct icsp_base_file policy;
    struct icsp_options how = args->compile;
    struct icsp_objects *objects = icsp_objects_new();
    bool ok = read_base(args->base_registries, &registries_text, &registries, &how.base_registries,
                        err) &&
              read_base(args->base_policy, &policy_text, &policy, &how.base_policy, err);

    for (size_t i = 0; ok && i < args->count; i++)
        ok = cli_objects_read(objects, args->inputs[i], findings, err);
    ok = ok && icsp_compile(objects, &how, files, findings, err);
    args->knows_certificates =
        icsp_objects_has_map(objects, "openshift-config-managed", "image-registry-ca");
    icsp_objects_free(objects);
    return ok;
}

/* Every failure is among the findings, whoever found it. */
static void complete_findings(struct icsp_findings *findings, const struct mir_error *err)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity == ICSP_ERROR)
            return;
    icsp_findings_add_error(findings, NULL, err);
}

static bool report(struct cli *cli, const struct arguments *args,
                   const struct icsp_findings *findings, const struct against *against, bool strict,
                   struct mir_error *err)
{
    auto_json *changes = NULL;

    if (!args->json)
        return emit_findings(cli, findings, strict, err);
    changes = against ? against_json(against) : NULL;
    return emit_findings_json(findings, changes, strict, err);
}

static bool write_node(const struct arguments *args, const struct icsp_files *node,
                       struct mir_error *err)
{
    auto_emit_files files = {0};

    for (size_t i = 0; i < node->count; i++)
        emit_files_add(&files, node->items[i].path,
                       mir_span(node->items[i].data, node->items[i].len));
    return emit_write(&files, &args->output, err);
}

/* Is that more than was allowed? */
static bool judge(const struct arguments *args, const struct icsp_changes *changes,
                  struct mir_error *err)
{
    if (changes->action > args->at_most) {
        (void)mir_fail(err, MIR_E_CONFLICT, "the cluster would %s, and --at-most %s was given",
                       icsp_action_word(changes->action), icsp_action_word(args->at_most));
        return mir_hint(err, "see the causes");
    }
    return !args->exit_code || changes->count == 0 ||
           mir_fail(err, MIR_E_CONFLICT, "%zu file%s would change", changes->count,
                    changes->count == 1 ? "" : "s");
}

/* The node's side is read before anything is written: both may be one folder. */
static bool compare(struct cli *cli, const struct arguments *args, const struct icsp_files *node,
                    struct against *against, struct mir_error *err)
{
    struct against_input input = {.dir = args->against,
                                  .files = node,
                                  .generation = args->compile.generation,
                                  .knows_certificates = args->knows_certificates};

    return !args->against || against_compare(cli, &input, against, err);
}

static bool show(const struct arguments *args, const struct icsp_files *node,
                 const struct against *against, struct mir_error *err)
{
    bool prints = !args->json && !args->against;

    if ((prints || args->output.dir) && !write_node(args, node, err))
        return false;
    if (!args->against)
        return true;
    if (!args->json)
        against_print(against);
    return judge(args, &against->changes, err);
}

static bool node_config(struct cli *cli, struct arguments *args, struct mir_error *err)
{
    auto_files node = {0};
    auto_against against = {0};
    auto_findings findings = {0};
    bool ok = compile(args, &node, &findings, err) && compare(cli, args, &node, &against, err);

    if (!ok)
        complete_findings(&findings, err);
    if (!report(cli, args, &findings, ok && args->against ? &against : NULL,
                ok && args->output.strict, err) ||
        !ok)
        return false;
    return show(args, &node, &against, err);
}

static bool run(struct cli *cli, struct mir_error *err)
{
    struct arguments args = {.at_most = ICSP_ACTION_REBOOT};
    bool go;
    bool ok = read_arguments(cli, &args, &go, err) && (!go || node_config(cli, &args, err));

    free(args.inputs);
    return ok;
}

const struct cli_command cli_node_config = {
    .name = "node-config",
    .synopsis = "[flags] OBJECTS.yaml|DIR|-...",
    .summary = "show what a cluster writes on its nodes for given objects",
    .help = "Compile cluster objects (Image, ClusterVersion, ImageContentSourcePolicy,\n"
            "ImageDigestMirrorSet, ImageTagMirrorSet, ClusterImagePolicy, ImagePolicy and\n"
            "the ConfigMaps with certificate authorities) to the files that the Machine\n"
            "Config Operator puts on every node: registries.conf, policy.json,\n"
            "registries.d, certs.d. Other objects are passed over.\n"
            "\n"
            "Files may hold several YAML or JSON documents and Lists; of a folder, its\n"
            ".yaml, .yml and .json files are read by name. What a cluster rejects is\n"
            "rejected (exit status 1), and nothing is written.\n"
            "\n"
            "With --against, the files are not printed, but how a node's present ones would\n"
            "change, and whether the cluster would reload CRI-O for that, drain the node or\n"
            "reboot it, and why.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
