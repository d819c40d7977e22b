/*
 * Reading a node's folder, and showing how it would change. Of the folder only those files are read
 * that the operator writes: others are no business of the objects.
 */
#include "cli/against.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diff.h"
#include "base/file.h"
#include "base/mem.h"

#define NODE_FILE_MAX  (256u << 20)
#define DIFF_MAX       (1u << 30)
#define CAUSES_PRINTED 20 /* of one file; --json has all */
#define CONTAINERS     "etc/containers/"
#define POLICIES       "etc/crio/policies"
#define CERTIFICATES   "etc/docker/certs.d"

void against_release(struct against *against)
{
    icsp_changes_release(&against->changes);
    emit_files_release(&against->now);
    emit_files_release(&against->then);
}

/* ---- the node's folder ---- */

/* Where the folder is, and how much of a node it holds. */
struct node {
    const char *dir;
    bool is_root; /* dir/etc/containers; else dir itself is that */
};

static bool is_there(const char *dir, const char *name)
{
    auto_free char *path = mir_format("%s/%s", dir, name);

    return access(path, F_OK) == 0;
}

static bool find_node(const char *dir, struct node *node, struct mir_error *err)
{
    static const char *const names[] = {"registries.conf", "policy.json", "registries.conf.d",
                                        "registries.d"};

    *node = (struct node){.dir = dir, .is_root = is_there(dir, "etc/containers")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (node->is_root || is_there(dir, names[i]))
            return true;
    (void)mir_fail(err, MIR_E_NOT_FOUND, "--against %s: no etc/containers in it, nor what is there",
                   dir);
    return mir_hint(err, "name the root of a node's files, or a copy of its /etc/containers");
}

static char *place_of(const struct node *node, const char *path)
{
    return mir_format("%s/%s", node->dir, node->is_root ? path : path + strlen(CONTAINERS));
}

/* Can the folder show the file? */
static bool shows(const struct node *node, const char *path)
{
    return node->is_root || mir_starts_with(path, CONTAINERS);
}

static bool read_one(const struct node *node, const char *path, struct emit_files *files,
                     struct mir_error *err)
{
    auto_free char *place = place_of(node, path);
    auto_free char *text = NULL;
    struct stat status;
    size_t len;

    if (stat(place, &status) != 0)
        return errno == ENOENT || errno == ENOTDIR || mir_fail_errno(err, "look at %s", place);
    if (!S_ISREG(status.st_mode))
        return mir_fail(err, MIR_E_FORMAT, "%s is not a file", place);
    if (!mir_file_read(place, NODE_FILE_MAX, &text, &len, err))
        return false;
    emit_files_add(files, path, mir_span(text, len));
    return true;
}

/* What is in a folder, sorted; a folder that is not there is empty. */
struct listing {
    struct dirent **items;
    int count;
};

static void listing_release(struct listing *listing)
{
    for (int i = 0; i < listing->count; i++)
        free(listing->items[i]);
    free(listing->items);
}
#define auto_listing __attribute__((cleanup(listing_release))) struct listing

static int is_visible(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static bool list(const struct node *node, const char *path, struct listing *out,
                 struct mir_error *err)
{
    auto_free char *place = place_of(node, path);

    out->count = scandir(place, &out->items, is_visible, alphasort);
    if (out->count >= 0)
        return true;
    out->count = 0;
    return errno == ENOENT || errno == ENOTDIR || mir_fail_errno(err, "open %s", place);
}

static bool is_given(const struct icsp_files *files, const char *path)
{
    return icsp_files_find(files, path) != NULL;
}

/* All files there are the operator's. */
static bool read_policies(const struct node *node, const struct icsp_files *files,
                          struct emit_files *out, struct mir_error *err)
{
    auto_listing entries = {0};

    if (!list(node, POLICIES, &entries, err))
        return false;
    for (int i = 0; i < entries.count; i++) {
        auto_free char *path = mir_format(POLICIES "/%s", entries.items[i]->d_name);

        if (mir_ends_with(path, ".json") && !is_given(files, path) &&
            !read_one(node, path, out, err))
            return false;
    }
    return true;
}

/* A folder that no object names is removed, with what is in it. */
static bool read_host(const struct node *node, const char *folder, const struct icsp_files *files,
                      struct emit_files *out, struct mir_error *err)
{
    auto_free char *ca = mir_format("%s/ca.crt", folder);
    auto_listing entries = {0};

    if (is_given(files, ca))
        return true;
    if (!list(node, folder, &entries, err))
        return false;
    for (int i = 0; i < entries.count; i++) {
        auto_free char *path = mir_format("%s/%s", folder, entries.items[i]->d_name);

        if (!read_one(node, path, out, err))
            return false;
    }
    return true;
}

static bool read_hosts(struct cli *cli, const struct node *node, const struct against_input *input,
                       struct emit_files *out, struct mir_error *err)
{
    auto_listing entries = {0};
    size_t unknown = 0;

    if (!list(node, CERTIFICATES, &entries, err))
        return false;
    for (int i = 0; i < entries.count; i++) {
        auto_free char *folder = mir_format(CERTIFICATES "/%s", entries.items[i]->d_name);
        auto_free char *ca = mir_format("%s/ca.crt", folder);

        if (!input->knows_certificates)
            unknown += !is_given(input->files, ca);
        else if (!read_host(node, folder, input->files, out, err))
            return false;
    }
    if (unknown > 0)
        mir_log(&cli->sink, MIR_LEVEL_INFO,
                "%zu of the node's folders in /" CERTIFICATES " are not compared: whether they "
                "stay is known only with the ConfigMap image-registry-ca of namespace "
                "openshift-config-managed",
                unknown);
    return true;
}

/* What the operator has written there, and would not any more. */
static bool read_others(struct cli *cli, const struct node *node, const struct against_input *input,
                        struct emit_files *out, struct mir_error *err)
{
    static const char *const paths[] = {
        CONTAINERS "registries.conf.d/01-image-searchRegistries.conf",
        CONTAINERS "registries.d/sigstore-registries.yaml",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (!is_given(input->files, paths[i]) && !read_one(node, paths[i], out, err))
            return false;
    return !node->is_root ||
           (read_policies(node, input->files, out, err) && read_hosts(cli, node, input, out, err));
}

static bool read_node(struct cli *cli, const struct against_input *input, struct against *out,
                      struct mir_error *err)
{
    size_t hidden = 0;
    struct node node;

    if (!find_node(input->dir, &node, err))
        return false;
    for (size_t i = 0; i < input->files->count; i++) {
        const struct icsp_file *file = &input->files->items[i];

        if (!shows(&node, file->path)) {
            hidden++;
            continue;
        }
        emit_files_add(&out->then, file->path, mir_span(file->data, file->len));
        if (!read_one(&node, file->path, &out->now, err))
            return false;
    }
    if (hidden > 0)
        mir_log(&cli->sink, MIR_LEVEL_INFO,
                "%zu file%s outside of /etc/containers %s not compared: name the root of the "
                "node's files for that",
                hidden, hidden == 1 ? "" : "s", hidden == 1 ? "is" : "are");
    return read_others(cli, &node, input, &out->now, err);
}

bool against_compare(struct cli *cli, const struct against_input *input, struct against *out,
                     struct mir_error *err)
{
    if (!read_node(cli, input, out, err))
        return false;
    return icsp_compare((struct icsp_tree){.items = out->now.items, .count = out->now.count},
                        (struct icsp_tree){.items = out->then.items, .count = out->then.count},
                        input->generation, &out->changes, err) ||
           mir_context(err, "--against %s", input->dir);
}

/* ---- the difference ---- */

static struct mir_span text_of(const struct icsp_file *file)
{
    return file ? mir_span(file->data, file->len) : mir_span("", 0);
}

/* One file, as git shows it. */
static void format_change(const struct icsp_change *change, struct mir_buf *out)
{
    const char *path = change->path;

    mir_buf_printf(out, "diff --git a/%s b/%s\n", path, path);
    if (!change->now)
        mir_buf_text(out, "new file mode 100644\n");
    if (!change->then)
        mir_buf_text(out, "deleted file mode 100644\n");
    if (text_of(change->now).len + text_of(change->then).len == 0)
        return;
    mir_buf_printf(out, "--- %s%s\n", change->now ? "a/" : "/dev/null", change->now ? path : "");
    mir_buf_printf(out, "+++ %s%s\n", change->then ? "b/" : "/dev/null", change->then ? path : "");
    mir_diff_format(text_of(change->now), text_of(change->then), out);
}

enum colour {
    PLAIN,
    BOLD,
    CYAN,
    RED,
    GREEN,
};

static bool wants_colours(void)
{
    const char *none = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && (!none || !none[0]) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

static void print_line(struct mir_span line, enum colour colour)
{
    static const char *const codes[] = {
        [BOLD] = "\033[1m", [CYAN] = "\033[36m", [RED] = "\033[31m", [GREEN] = "\033[32m"};

    if (colour != PLAIN)
        (void)fputs(codes[colour], stdout);
    (void)fwrite(line.ptr, 1, line.len, stdout);
    (void)fputs(colour != PLAIN ? "\033[m\n" : "\n", stdout);
}

/* Lines of a diff tell what they are by how they begin; those of its header come first. */
static void print_coloured(struct mir_span diff)
{
    bool in_hunk = false;
    struct mir_span line;

    while (mir_span_next(&diff, '\n', &line)) {
        enum colour colour = in_hunk ? PLAIN : BOLD;

        if (diff.len == 0 && line.len == 0)
            return;
        if (mir_span_starts_with(line, "@@")) {
            in_hunk = true;
            colour = CYAN;
        } else if (in_hunk && mir_span_starts_with(line, "-")) {
            colour = RED;
        } else if (in_hunk && mir_span_starts_with(line, "+")) {
            colour = GREEN;
        }
        print_line(line, colour);
    }
}

/* ---- what the cluster does ---- */

/* Indexed by enum icsp_action. */
static const char *const verdicts[] = {
    "nothing",
    "reload CRI-O, no drain and no reboot",
    "drain the node, then reload CRI-O",
    "drain and reboot the node",
};

static void print_cause(const struct icsp_cause *cause)
{
    auto_free char *text = icsp_cause_format(cause);

    (void)printf("  %s: %s%s\n", icsp_action_word(cause->action), text,
                 cause->is_certain ? "" : " (not certain)");
}

/* Of a long list, its beginning. */
static void print_causes(const struct icsp_changes *changes)
{
    const char *path = "";
    size_t of_path = 0;

    for (size_t i = 0; i < changes->cause_count; i++) {
        const struct icsp_cause *cause = &changes->causes[i];
        bool last = i + 1 == changes->cause_count || changes->causes[i + 1].path != cause->path;

        of_path = strcmp(path, cause->path) == 0 ? of_path + 1 : 1;
        path = cause->path;
        if (of_path <= CAUSES_PRINTED)
            print_cause(cause);
        else if (last)
            (void)printf("  and %zu more in %s\n", of_path - CAUSES_PRINTED, path);
    }
}

void against_print(const struct against *against)
{
    const struct icsp_changes *changes = &against->changes;
    bool colours = wants_colours();
    auto_free char *verdict = NULL;

    for (size_t i = 0; i < changes->count; i++) {
        auto_buf diff;

        mir_buf_init(&diff, DIFF_MAX);
        format_change(&changes->items[i], &diff);
        if (colours)
            print_coloured(mir_buf_span(&diff));
        else
            (void)fwrite(diff.ptr, 1, diff.len, stdout);
    }
    verdict =
        mir_format("The cluster would: %s",
                   changes->count == 0 ? "do nothing, no file changes" : verdicts[changes->action]);
    if (changes->count > 0)
        (void)putchar('\n');
    print_line(mir_span_of(verdict), colours ? BOLD : PLAIN);
    print_causes(changes);
}

json_t *against_json(const struct against *against)
{
    json_t *object = icsp_changes_json(&against->changes);
    json_t *file;
    size_t i;

    json_array_foreach (json_object_get(object, "files"), i, file) {
        auto_buf diff;

        mir_buf_init(&diff, DIFF_MAX);
        format_change(&against->changes.items[i], &diff);
        /* Files that are no text have no difference that JSON could hold. */
        if (json_object_set_new(file, "diff", json_stringn(diff.ptr, diff.len)) != 0)
            json_object_del(file, "diff");
    }
    return object;
}
