/*
 * mirror migrate-icsp: files with ImageContentSourcePolicies become files with
 * ImageDigestMirrorSets, one for one, as `oc adm migrate icsp` makes them.
 */
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cli/emit.h"

#define INPUT_MAX  (256u << 20)
#define OUTPUT_MAX (256u << 20)
#define FILE_MODE  0644
#define NUMBER_HEX 15 /* digits of the hash that fit a 64-bit number */

enum {
    OPT_DEST_DIR = 1,
};

static const struct cli_option options[] = {
    {"dest-dir", 0, "DIR", "write into DIR, which is made if need be (the current directory)",
     OPT_DEST_DIR},
};

struct arguments {
    const char **files;
    size_t count, capacity;
    const char *dir; /* NULL: the current one */
};

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    (void)cli;
    (void)err;
    if (id == OPT_DEST_DIR) {
        args->dir = value;
        return true;
    }
    mir_grow(&args->files, args->count, &args->capacity, sizeof(*args->files));
    args->files[args->count++] = value;
    return true;
}

/* ---- one file ---- */

static bool read_file(const char *path, json_t **out, struct icsp_findings *findings,
                      struct mir_error *err)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct icsp_objects *objects = icsp_objects_new();
    auto_free char *text = NULL;
    auto_json *documents = NULL;
    size_t len;
    bool ok = mir_file_read(path, INPUT_MAX, &text, &len, err) &&
              mir_yaml_parse_lines(mir_span(text, len), name, icsp_objects_lines(objects),
                                   &documents, err) &&
              icsp_migrate(objects, documents, name, out, findings, err);

    icsp_objects_free(objects);
    return ok;
}

/* The name says what is in the file, and the same content always gets the same one. */
static char *name_of(const json_t *objects, struct mir_span text)
{
    const json_t *metadata = json_object_get(json_array_get(objects, 0), "metadata");
    char hex[MIR_HASH_HEX_MAX];

    mir_hash_bytes(MIR_HASH_SHA256, text, hex);
    hex[NUMBER_HEX] = '\0';
    return mir_format("imagedigestmirrorset_%s.%llu.yaml",
                      json_string_value(json_object_get(metadata, "name")),
                      strtoull(hex, NULL, 16));
}

static bool write_objects(const char *dir, const json_t *objects, struct mir_error *err)
{
    auto_free char *name = NULL;
    auto_free char *path = NULL;
    json_t *object;
    size_t i;
    auto_buf text;

    mir_buf_init(&text, OUTPUT_MAX);
    json_array_foreach (objects, i, object) {
        if (i > 0)
            mir_buf_text(&text, "---\n");
        mir_yaml_format(object, &text);
    }
    if (!mir_buf_check(&text, "the new file", err))
        return false;
    name = name_of(objects, mir_buf_span(&text));
    path = mir_format("%s/%s", dir, name);
    if (!mir_make_parent_dirs(path, err) ||
        !mir_file_write(path, mir_buf_span(&text), FILE_MODE, err))
        return false;
    (void)printf("wrote ImageDigestMirrorSet to %s\n", path);
    return true;
}

static bool migrate_file(struct cli *cli, const char *path, const char *dir, struct mir_error *err)
{
    auto_findings findings = {0};
    auto_json *objects = NULL;
    bool ok = read_file(path, &objects, &findings, err);

    if (!emit_findings(cli, &findings, false, err) || !ok)
        return false;
    return write_objects(dir, objects, err);
}

/* ---- the command ---- */

/* One bad file does not stop the others. */
static bool migrate_all(struct cli *cli, const struct arguments *args, const char *dir,
                        struct mir_error *err)
{
    size_t failed = 0;

    if (args->count == 1)
        return migrate_file(cli, args->files[0], dir, err);
    for (size_t i = 0; i < args->count; i++) {
        struct mir_error why = MIR_ERROR_INIT;

        if (migrate_file(cli, args->files[i], dir, &why))
            continue;
        cli_print_error(cli, &why);
        failed++;
    }
    return failed == 0 ||
           mir_fail(err, MIR_E_FORMAT, "%zu of %zu files were not migrated", failed, args->count);
}

static bool run(struct cli *cli, struct mir_error *err)
{
    struct arguments args = {0};
    auto_free char *here = NULL;
    bool go = false;
    bool ok = cli_read(cli, take_argument, &args, &go, err);

    if (ok && go && args.count == 0)
        ok = cli_usage(cli, err, "name the files that hold the ImageContentSourcePolicies");
    if (ok && go && !args.dir) {
        here = getcwd(NULL, 0);
        ok = here || mir_fail_errno(err, "look up the current directory");
    }
    ok = ok && (!go || migrate_all(cli, &args, args.dir ? args.dir : here, err));
    free(args.files);
    return ok;
}

const struct cli_command cli_migrate_icsp = {
    .name = "migrate-icsp",
    .synopsis = "[flags] FILE.yaml|-...",
    .summary = "turn ImageContentSourcePolicies into ImageDigestMirrorSets",
    .help = "Write for every file with ImageContentSourcePolicies one with the same sources\n"
            "and mirrors as ImageDigestMirrorSets, as \"oc adm migrate icsp\" does. Names,\n"
            "labels and annotations stay. A file may hold several documents and Lists;\n"
            "objects of other kinds are named and left out.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
