/*
 * Writing what icsp/ makes: findings to the log, objects as YAML, node files as they are.
 * Everything is made in memory first, so that a rejected input leaves no file behind.
 */
#include "cli/emit.h"

#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cli/objects.h"

#define OBJECT_FILE_MAX (256u << 20)
#define FILE_MODE       0644
#define NODE_DIR        "node/"

#define GENERATIONS_TEXT_MAX 1024

/* ---- the mapping ---- */

void emit_mapping_add(struct emit_mapping *mapping, const struct img_ref *source,
                      const struct img_ref *mirror)
{
    mir_grow(&mapping->sources, mapping->count, &mapping->source_capacity,
             sizeof(*mapping->sources));
    mir_grow(&mapping->mirrors, mapping->count, &mapping->mirror_capacity,
             sizeof(*mapping->mirrors));
    img_ref_copy(source, &mapping->sources[mapping->count]);
    img_ref_copy(mirror, &mapping->mirrors[mapping->count]);
    mapping->count++;
}

void emit_mapping_release(struct emit_mapping *mapping)
{
    for (size_t i = 0; i < mapping->count; i++) {
        img_ref_release(&mapping->sources[i]);
        img_ref_release(&mapping->mirrors[i]);
    }
    free(mapping->sources);
    free(mapping->mirrors);
    *mapping = (struct emit_mapping){0};
}

/* ---- findings ---- */

static enum mir_level level_of(enum icsp_severity severity)
{
    switch (severity) {
    case ICSP_DETAIL:
        return MIR_LEVEL_DEBUG;
    case ICSP_NOTE:
        return MIR_LEVEL_INFO;
    case ICSP_WARNING:
    case ICSP_ERROR:
        return MIR_LEVEL_WARN;
    }
    return MIR_LEVEL_WARN;
}

/* A hint is worth a line where what it belongs to is shown, and is no warning of its own. */
static enum mir_level hint_level(enum icsp_severity severity)
{
    return severity == ICSP_DETAIL ? MIR_LEVEL_DEBUG : MIR_LEVEL_INFO;
}

static bool fail_strict(size_t warnings, struct mir_error *err)
{
    return warnings == 0 || mir_fail(err, MIR_E_FORMAT, "%zu warning%s, and --strict was given",
                                     warnings, warnings == 1 ? "" : "s");
}

bool emit_findings(struct cli *cli, const struct icsp_findings *findings, bool strict,
                   struct mir_error *err)
{
    size_t warnings = 0;

    for (size_t i = 0; i < findings->count; i++) {
        const struct icsp_finding *finding = &findings->items[i];
        auto_free char *line = icsp_finding_format(finding);

        warnings += finding->severity == ICSP_WARNING;
        if (finding->severity == ICSP_ERROR)
            continue;
        mir_log(&cli->sink, level_of(finding->severity), "%s", line);
        if (finding->hint)
            mir_log(&cli->sink, hint_level(finding->severity), "hint: %s", finding->hint);
    }
    return !strict || fail_strict(warnings, err);
}

bool emit_findings_json(const struct icsp_findings *findings, json_t *changes, bool strict,
                        struct mir_error *err)
{
    auto_json *json = icsp_findings_json(findings);
    size_t warnings = (size_t)json_integer_value(json_object_get(json, "warnings"));

    if (changes)
        json_object_set(json, "changes", changes);
    (void)json_dumpf(json, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    return !strict || fail_strict(warnings, err);
}

/* ---- generations ---- */

bool emit_take_generation(struct cli *cli, const char *value, const struct icsp_generation **out,
                          struct mir_error *err)
{
    const struct icsp_generation *found = icsp_generation_find(value);
    auto_buf known;

    mir_buf_init(&known, GENERATIONS_TEXT_MAX);
    if (found) {
        *out = found;
        return true;
    }
    for (size_t i = 0; icsp_generation_name(i); i++)
        mir_buf_printf(&known, "%s%s (%s)", i > 0 ? ", " : "", icsp_generation_name(i),
                       icsp_generation_releases(i));
    return cli_usage(cli, err, "--ocp %.100s: known are %s", value, known.ptr);
}

/* ---- files ---- */

void emit_files_add(struct emit_files *files, const char *path, struct mir_span data)
{
    mir_grow(&files->items, files->count, &files->capacity, sizeof(*files->items));
    files->items[files->count++] = (struct icsp_file){
        .path = mir_strdup(path), .data = mir_strndup(data.ptr, data.len), .len = data.len};
}

void emit_files_release(struct emit_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].data);
    }
    free(files->items);
    *files = (struct emit_files){0};
}

/* By its whole path, or by the end of it that begins behind a '/'. */
static bool is_asked_for(const char *path, const char *only)
{
    size_t len = strlen(path);
    size_t tail = strlen(only);

    if (len < tail || strcmp(path + len - tail, only) != 0)
        return false;
    return len == tail || path[len - tail - 1] == '/';
}

static bool print_only(const struct emit_files *files, const char *only, struct mir_error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        if (!is_asked_for(files->items[i].path, only))
            continue;
        (void)fwrite(files->items[i].data, 1, files->items[i].len, stdout);
        return true;
    }
    (void)mir_fail(err, MIR_E_NOT_FOUND, "no file \"%s\" is written for this input", only);
    return mir_hint(err, "leave --only out to see all files");
}

static void print_all(const struct emit_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct icsp_file *file = &files->items[i];

        (void)printf("# %s\n", file->path);
        (void)fwrite(file->data, 1, file->len, stdout);
        if (file->len > 0 && file->data[file->len - 1] != '\n')
            (void)putchar('\n');
    }
}

static bool write_into(const struct emit_files *files, const char *dir, struct mir_error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct icsp_file *file = &files->items[i];
        auto_free char *path = mir_format("%s/%s", dir, file->path);

        if (!mir_make_parent_dirs(path, err) ||
            !mir_file_write(path, mir_span(file->data, file->len), FILE_MODE, err))
            return false;
    }
    return true;
}

bool emit_write(const struct emit_files *files, const struct emit_output *output,
                struct mir_error *err)
{
    if (output->dir)
        return write_into(files, output->dir, err);
    if (output->only)
        return print_only(files, output->only, err);
    print_all(files);
    return true;
}

/* ---- objects ---- */

/* Objects of one file follow each other. */
static bool add_objects(const struct icsp_object_files *objects, struct emit_files *files,
                        struct mir_error *err)
{
    for (size_t i = 0; i < objects->count;) {
        const char *name = objects->items[i].name;
        auto_buf text;

        mir_buf_init(&text, OBJECT_FILE_MAX);
        for (; i < objects->count && strcmp(objects->items[i].name, name) == 0; i++) {
            mir_buf_text(&text, "---\n");
            mir_yaml_format(objects->items[i].object, &text);
        }
        if (!mir_buf_check(&text, name, err))
            return false;
        emit_files_add(files, name, mir_buf_span(&text));
    }
    return true;
}

/* cluster: what else there is; takes in the objects. */
static bool add_node_files(const struct icsp_object_files *objects, struct icsp_objects *cluster,
                           const struct icsp_options *options, struct emit_files *files,
                           struct icsp_findings *findings, struct mir_error *err)
{
    auto_files node = {0};

    for (size_t i = 0; i < objects->count; i++) {
        auto_json *documents = json_array();

        json_array_append(documents, objects->items[i].object);
        if (!icsp_objects_add(cluster, documents, objects->items[i].name, findings, err))
            return false;
    }
    if (!icsp_compile(cluster, options, &node, findings, err))
        return false;
    for (size_t i = 0; i < node.count; i++) {
        auto_free char *path = mir_format(NODE_DIR "%s", node.items[i].path);

        emit_files_add(files, path, mir_span(node.items[i].data, node.items[i].len));
    }
    return true;
}

static struct icsp_pair *pairs_of(const struct emit_mapping *mapping)
{
    struct icsp_pair *pairs = mir_alloc_array(mapping->count, sizeof(*pairs));

    for (size_t i = 0; i < mapping->count; i++)
        pairs[i] = (struct icsp_pair){.source_host = mapping->sources[i].host,
                                      .source_repo = mapping->sources[i].repo,
                                      .source_tag = mapping->sources[i].tag,
                                      .mirror_host = mapping->mirrors[i].host,
                                      .mirror_repo = mapping->mirrors[i].repo,
                                      .mirror_tag = mapping->mirrors[i].tag};
    return pairs;
}

/* What an earlier run left would be applied together with what this one wrote. */
static void warn_stale(struct cli *cli, const struct emit_files *files, const char *dir)
{
    static const char *const names[] = {"imagecontentsourcepolicy.yaml",
                                        "imagedigestmirrorset.yaml", "imagetagmirrorset.yaml",
                                        "image.yaml", "configmap-registry-ca.yaml"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        auto_free char *path = mir_format("%s/%s", dir, names[i]);
        bool written = false;

        for (size_t k = 0; k < files->count; k++)
            written = written || strcmp(files->items[k].path, names[i]) == 0;
        if (!written && access(path, F_OK) == 0)
            mir_log(&cli->sink, MIR_LEVEL_WARN,
                    "%s is from an earlier run and was not written now; remove it before you "
                    "apply the folder",
                    path);
    }
}

/* What the cluster has already. */
static bool read_cluster(const struct icsp_texts *with, struct icsp_objects *cluster,
                         struct icsp_findings *findings, struct mir_error *err)
{
    for (size_t i = 0; i < with->count; i++)
        if (!cli_objects_read(cluster, with->items[i], findings, err))
            return mir_context(err, "--with");
    return true;
}

bool emit_objects(struct cli *cli, const struct emit_mapping *mapping,
                  struct icsp_emit_options *options, const struct icsp_texts *with,
                  const struct icsp_options *node, const struct emit_output *output,
                  struct mir_error *err)
{
    auto_free struct icsp_pair *pairs = pairs_of(mapping);
    struct icsp_objects *cluster = icsp_objects_new();
    auto_object_files objects = {0};
    auto_emit_files files = {0};
    auto_findings findings = {0};
    bool ok;

    options->with = with->count > 0 ? cluster : NULL;
    options->node = node;
    ok = read_cluster(with, cluster, &findings, err) &&
         icsp_emit(pairs, mapping->count, options, &objects, &findings, err) &&
         add_objects(&objects, &files, err) &&
         add_node_files(&objects, cluster, node, &files, &findings, err);
    options->with = NULL;
    icsp_objects_free(cluster);
    if (!emit_findings(cli, &findings, ok && output->strict, err) || !ok)
        return false;
    if (output->dir)
        warn_stale(cli, &files, output->dir);
    return emit_write(&files, output, err);
}

/* ---- after a copy ---- */

static bool add_result(const struct copy_result *result, struct emit_mapping *mapping,
                       struct mir_error *err)
{
    static const char transport[] = "docker://";
    auto_ref source = {0};
    auto_ref mirror = {0};

    if (result->outcome == COPY_OUTCOME_FAILED || !result->pinned ||
        !mir_starts_with(result->destination, transport))
        return true;
    if (!img_ref_parse(mir_span_of(result->pinned), &source, err) ||
        !img_ref_parse(mir_span_of(result->destination + strlen(transport)), &mirror, err))
        return false;
    emit_mapping_add(mapping, &source, &mirror);
    return true;
}

bool cli_emit_copy(struct cli *cli, const struct copy *copy, const char *dir, struct mir_error *err)
{
    struct icsp_emit_options options = {.kinds = ICSP_KIND_ICSP,
                                        .insecure = copy_destination_is_relaxed(copy)};
    struct emit_output output = {.dir = dir};
    auto_mapping mapping = {0};

    for (size_t i = 0; i < copy_image_count(copy); i++) {
        struct copy_result result;

        copy_get_result(copy, i, &result);
        if (!add_result(&result, &mapping, err))
            return false;
    }
    if (mapping.count == 0) {
        mir_log(&cli->sink, MIR_LEVEL_WARN,
                "no cluster objects written: no image arrived at the destination");
        return true;
    }
    if (options.insecure)
        mir_log(&cli->sink, MIR_LEVEL_INFO,
                "the destination was not verified, so insecureRegistries lists it for the nodes");
    return emit_objects(cli, &mapping, &options, &(struct icsp_texts){0}, NULL, &output, err);
}
