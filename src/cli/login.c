/*
 * mirror login, mirror logout: check user and password against a registry, and keep them where
 * copies, podman and skopeo find them; and take them away again.
 */
#include <string.h>

#include "base/mem.h"
#include "base/span.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/secret.h"
#include "cli/sources.h"
#include "registry/login.h"

enum {
    OPT_USERNAME = 1,
    OPT_PASSWORD,
    OPT_PASSWORD_STDIN,
    OPT_GET_LOGIN,
    OPT_ALL,
};

#define WHERE_OPTION                                                                               \
    {                                                                                              \
        "authfile", 0, "FILE",                                                                     \
            "keep them there (default: $REGISTRY_AUTH_FILE, else "                                 \
            "$XDG_RUNTIME_DIR/containers/auth.json)",                                              \
            CLI_OPT_AUTHFILE                                                                       \
    }
#define TLS_OPTIONS                                                                                \
    {"tls-verify", 0, "BOOL", "verify certificates (default: true, except on loopback)",           \
     CLI_OPT_TLS_VERIFY},                                                                          \
    {                                                                                              \
        "cert-dir", 0, "DIR", "*.crt and client *.cert, *.key", CLI_OPT_CERT_DIR                   \
    }

static const struct cli_option login_options[] = {
    {"username", 'u', "USER", "who to log in as (default: asked for)", OPT_USERNAME},
    {"password", 'p', "PASS", "the password (default: asked for, with echo off)", OPT_PASSWORD},
    {"password-stdin", 0, NULL, "take all of standard input as the password", OPT_PASSWORD_STDIN},
    {"get-login", 0, NULL, "print who is logged in, and change nothing", OPT_GET_LOGIN},
    WHERE_OPTION,
    TLS_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
};

static const struct cli_option logout_options[] = {
    {"all", 'a', NULL, "log out of all registries", OPT_ALL},
    WHERE_OPTION,
    TLS_OPTIONS,
    CLI_REGISTRIES_OPTIONS,
};

#define auto_found __attribute__((cleanup(reg_login_found_release))) struct reg_login_found

/* ---- arguments ---- */

struct arguments {
    struct cli_access access;
    struct cli_sources machine;
    char *account;
    char *host;
    bool insecure; /* as registries.conf says */
    char *user;
    char *password; /* secret */
    bool password_stdin, get_login, all;
};

static void arguments_release(struct arguments *args)
{
    cli_access_release(&args->access);
    cli_sources_release(&args->machine);
    free(args->account);
    free(args->host);
    free(args->user);
    mir_free_secret(args->password);
}
#define auto_arguments __attribute__((cleanup(arguments_release))) struct arguments

/* People copy what they see elsewhere: "https://quay.io/", "docker://quay.io/org". */
static bool take_account(struct cli *cli, struct arguments *args, const char *value,
                         struct mir_error *err)
{
    static const char *const schemes[] = {"https://", "http://", "docker://"};
    struct mir_span text = mir_span_of(value);

    if (args->account)
        return cli_usage(cli, err, "one registry at a time: %s, or %s?", args->account, value);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (mir_starts_with(value, schemes[i]))
            text = mir_span_from(mir_span_of(value), strlen(schemes[i]));
    if (text.len > 0 && text.ptr[text.len - 1] == '/')
        text.len--;
    args->account = mir_strndup(text.ptr, text.len);
    args->host = mir_strndup(args->account, strcspn(args->account, "/"));
    return reg_account_check(args->account, err);
}

static bool take_argument(struct cli *cli, int id, const char *value, void *into,
                          struct mir_error *err)
{
    struct arguments *args = into;

    switch (id) {
    case CLI_POSITIONAL:
        return take_account(cli, args, value, err);
    case OPT_USERNAME:
        free(args->user);
        args->user = mir_strdup(value);
        return true;
    case OPT_PASSWORD:
        mir_free_secret(args->password);
        args->password = mir_strdup(value);
        cli_hide_argument(cli, value);
        return true;
    case OPT_PASSWORD_STDIN:
        return cli_bool("password-stdin", value, &args->password_stdin, err);
    case OPT_GET_LOGIN:
        return cli_bool("get-login", value, &args->get_login, err);
    case OPT_ALL:
        return cli_bool("all", value, &args->all, err);
    default:
        if (cli_sources_is_option(id))
            return cli_sources_take(&args->machine, id, value, err);
        return cli_access_take(cli, &args->access, id, value, err);
    }
}

static bool read_arguments(struct cli *cli, struct arguments *args, bool *go, struct mir_error *err)
{
    cli_access_init(&args->access);
    if (!cli_read(cli, take_argument, args, go, err) || !*go)
        return err->code == MIR_OK;
    if (args->all && args->account)
        return cli_usage(cli, err, "log out of %s, or of all?", args->account);
    if (!args->all && !args->account)
        return cli_usage(cli, err, "name a registry: HOST[:PORT], or HOST/NAMESPACE");
    return true;
}

/* What flags and registries.conf say of the registry. */
static bool registry_options(struct cli *cli, struct arguments *args, struct reg_options *out,
                             struct mir_error *err)
{
    struct icsp_conf_entry entry;

    if (!cli_access_sides(cli, &args->access, out, NULL, err) ||
        !cli_sources_read_registries(&args->machine, err))
        return false;
    out->cancel = cli->cancel;
    out->sink = &cli->sink;
    cli_sources_set_helpers(&args->machine, out);
    if (args->machine.lookup && args->account &&
        icsp_lookup_find_entry(args->machine.lookup, mir_span_of(args->account), &entry))
        args->insecure = entry.insecure;
    return true;
}

static bool check(const struct arguments *args, const struct reg_options *options, bool *open,
                  struct mir_error *err)
{
    const struct reg_repo at = {.host = args->host, .insecure = args->insecure};

    return reg_login_check(options, &at, open, err);
}

/* ---- login ---- */

static bool check_user(struct cli *cli, const struct arguments *args, struct mir_error *err)
{
    if (args->password && args->password_stdin)
        return cli_usage(cli, err, "--password and --password-stdin exclude each other");
    if (args->password_stdin && !args->user)
        return cli_usage(cli, err, "--password-stdin needs --username");
    if (args->user && (args->user[0] == '\0' || strchr(args->user, ':')))
        return cli_usage(cli, err, "--username: a user name is not empty and has no colon");
    return true;
}

static bool no_terminal(struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_USAGE,
                   "standard input is no terminal, so user and password cannot be asked for");
    return mir_hint(err, "use --username USER --password-stdin");
}

static bool complete(struct cli *cli, struct arguments *args, char **creds, struct mir_error *err)
{
    if (args->password_stdin &&
        !cli_read_secret(cli, "--password-stdin", CLI_STDIN_ALL, &args->password, err))
        return false;
    if ((!args->user || !args->password) && !cli_has_terminal())
        return no_terminal(err);
    if (!args->user &&
        (!cli_ask(cli, "User: ", CLI_ECHO_ON, &args->user, err) || !check_user(cli, args, err)))
        return false;
    if (!args->password && !cli_ask(cli, "Password: ", CLI_ECHO_OFF, &args->password, err))
        return false;
    *creds = mir_format("%s:%s", args->user, args->password);
    return true;
}

/* Does what is kept already let us in? Then there is nothing to ask. */
static bool try_known(const struct arguments *args, const struct reg_options *options,
                      const struct reg_login_found *known, bool *done, struct mir_error *err)
{
    struct reg_options as_known = *options;
    struct mir_error refused = MIR_ERROR_INIT;
    bool open = false;

    *done = false;
    if (!known->creds)
        return true;
    as_known.creds = known->creds;
    *done = check(args, &as_known, &open, &refused);
    if (!*done && refused.code != MIR_E_AUTH) {
        *err = refused;
        return false;
    }
    if (*done)
        (void)printf("Already logged in to %s as %s (%s)\n", args->account, known->user,
                     known->origin);
    else
        mir_log(options->sink, MIR_LEVEL_INFO, "%s is not let in any more (%s)", known->user,
                known->origin);
    return true;
}

/* A look-up that fails (a helper that is not there) is no reason not to log in anew. */
static bool look_and_try(const struct arguments *args, const struct reg_options *options,
                         bool *done, struct mir_error *err)
{
    auto_found known = {0};
    struct mir_error trouble = MIR_ERROR_INIT;

    *done = false;
    if (args->user || args->password)
        return true;
    if (reg_login_find(options, args->account, &known, &trouble))
        return try_known(args, options, &known, done, err);
    if (trouble.code == MIR_E_CANCELLED) {
        *err = trouble;
        return false;
    }
    mir_log(options->sink, MIR_LEVEL_WARN, "%s", trouble.text);
    return true;
}

static bool check_and_store(const struct arguments *args, struct reg_options *options,
                            const char *creds, struct mir_error *err)
{
    auto_free char *where = NULL;
    bool open = false;

    options->creds = creds;
    if (!check(args, options, &open, err))
        return mir_context(err, "log in to %s", args->account);
    if (!reg_login_store(options, args->account, &where, err))
        return mir_context(err, "keep the login to %s", args->account);
    if (open)
        mir_log(options->sink, MIR_LEVEL_WARN,
                "%s lets everybody in: user and password were not checked", args->account);
    mir_log(options->sink, MIR_LEVEL_INFO, "kept in %s", where);
    (void)printf("Login Succeeded!\n");
    return true;
}

static bool get_login(const struct arguments *args, const struct reg_options *options,
                      struct mir_error *err)
{
    auto_found known = {0};

    if (!reg_login_find(options, args->account, &known, err))
        return false;
    if (!known.origin) {
        (void)mir_fail(err, MIR_E_NOT_FOUND, "not logged in to %s", args->account);
        return mir_hint(err, "mirror login %s", args->account);
    }
    (void)printf("%s\n", known.user ? known.user : "<token>");
    return true;
}

static bool log_in(struct cli *cli, struct arguments *args, struct reg_options *options,
                   struct mir_error *err)
{
    auto_free_secret char *creds = NULL;
    bool done;

    if (args->get_login)
        return get_login(args, options, err);
    if (!look_and_try(args, options, &done, err) || done)
        return done;
    return complete(cli, args, &creds, err) && check_and_store(args, options, creds, err);
}

static bool run_login(struct cli *cli, struct mir_error *err)
{
    auto_arguments args = {0};
    struct reg_options options;
    bool go;

    if (!read_arguments(cli, &args, &go, err) || !go)
        return err->code == MIR_OK;
    return check_user(cli, &args, err) && registry_options(cli, &args, &options, err) &&
           log_in(cli, &args, &options, err);
}

/* ---- logout ---- */

/* Gone from where login writes, and still there elsewhere: as podman, say so and be content if that
 * still opens the door, for then another tool keeps it. */
static bool not_logged_in(const struct arguments *args, const struct reg_options *options,
                          const char *where, struct mir_error *err)
{
    auto_found known = {0};
    struct reg_options as_known = *options;
    struct mir_error refused = MIR_ERROR_INIT;
    bool open = false;

    if (!reg_login_find(options, args->account, &known, err))
        return false;
    if (!known.origin)
        return mir_fail(err, MIR_E_NOT_FOUND, "not logged in to %s (%s)", args->account, where);
    as_known.creds = known.creds;
    if (known.creds && check(args, &as_known, &open, &refused)) {
        (void)printf("Not logged in to %s by %s; still let in as %s by %s\n", args->account, where,
                     known.user, known.origin);
        return true;
    }
    (void)mir_fail(err, MIR_E_NOT_FOUND, "not logged in to %s by %s, but by %s", args->account,
                   where, known.origin);
    return mir_hint(err, "name that file with --authfile, and that key");
}

static bool log_out(const struct arguments *args, const struct reg_options *options,
                    struct mir_error *err)
{
    auto_free char *where = NULL;
    bool erased = false;

    if (args->all) {
        if (!reg_login_erase_all(options, &erased, &where, err))
            return false;
        (void)printf("Removed all logins from %s\n", where);
        return true;
    }
    if (!reg_login_erase(options, args->account, &erased, &where, err))
        return false;
    if (!erased)
        return not_logged_in(args, options, where, err);
    (void)printf("Removed the login to %s from %s\n", args->account, where);
    return true;
}

static bool run_logout(struct cli *cli, struct mir_error *err)
{
    auto_arguments args = {0};
    struct reg_options options;
    bool go;

    if (!read_arguments(cli, &args, &go, err) || !go)
        return err->code == MIR_OK;
    return registry_options(cli, &args, &options, err) && log_out(&args, &options, err);
}

const struct cli_command cli_login = {
    .name = "login",
    .synopsis = "[flags] HOST[:PORT][/NAMESPACE]",
    .summary = "check user and password with a registry, and keep them",
    .help = "Log in to a registry, or to a part of it: its answer to user and password comes\n"
            "first, then they are kept in the auth file that podman and skopeo read too, or\n"
            "in the credential helper it names. What else the file holds stays.\n"
            "Without user and password, what is kept already is tried.",
    .options = login_options,
    .option_count = sizeof(login_options) / sizeof(login_options[0]),
    .run = run_login,
};

const struct cli_command cli_logout = {
    .name = "logout",
    .synopsis = "[flags] HOST[:PORT][/NAMESPACE] | --all",
    .summary = "forget user and password of a registry",
    .help = "Take a login out of the auth file that \"mirror login\" writes, or out of the\n"
            "credential helper it names.",
    .options = logout_options,
    .option_count = sizeof(logout_options) / sizeof(logout_options[0]),
    .run = run_logout,
};
