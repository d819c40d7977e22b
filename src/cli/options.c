/*
 * Reading the options that say how registries are reached, for one side or for two.
 */
#include "cli/options.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/secret.h"
#include "copy/place.h"

#define RETRY_TIMES_DEFAULT 3
#define RETRY_TIMES_MAX     100
#define STALL_SECONDS_MAX   86400

static const char user_agent[] = "mirror/" MIRROR_VERSION;

void cli_access_init(struct cli_access *access)
{
    *access = (struct cli_access){.retry_times = RETRY_TIMES_DEFAULT};
    access->source.user_agent = user_agent;
    access->destination.user_agent = user_agent;
}

void cli_access_release(struct cli_access *access)
{
    mir_free_secret(access->source_creds.text);
    mir_free_secret(access->destination_creds.text);
    access->source_creds = access->destination_creds = (struct cli_creds){0};
}

/* The last of several counts. */
static bool take_creds(struct cli *cli, struct cli_creds *creds, const char *option,
                       const char *value)
{
    const char *colon = strchr(value, ':');

    mir_free_secret(creds->text);
    *creds = (struct cli_creds){.option = option, .text = mir_strdup(value)};
    if (colon)
        cli_hide_argument(cli, colon + 1);
    return true;
}

static bool take_tls(const char *name, const char *value, struct reg_options *side,
                     struct mir_error *err)
{
    bool verify;

    if (!cli_bool(name, value, &verify, err))
        return false;
    side->tls = verify ? REG_TLS_VERIFY : REG_TLS_OFF;
    return true;
}

static bool take_retry(struct cli_access *access, const char *value, struct mir_error *err)
{
    uint64_t times;

    if (!cli_number("retry-times", value, 0, RETRY_TIMES_MAX, &times, err))
        return false;
    access->retry_times = (unsigned)times;
    return true;
}

static bool unit_of(struct mir_span text, uint64_t *factor)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"K", UINT64_C(1) << 10},
        {"M", UINT64_C(1) << 20},
        {"G", UINT64_C(1) << 30},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) != text.len ||
            strncasecmp(units[i].name, text.ptr, text.len) != 0)
            continue;
        *factor = units[i].factor;
        return true;
    }
    return false;
}

/* "500K", "2M", "1GiB", "1000": bytes a second, at least 1; letters stand for powers of 1024, as
 * in curl. err: MIR_E_USAGE, naming the option. */
static bool parse_rate(const char *option, const char *value, uint64_t *out, struct mir_error *err)
{
    size_t digits = strspn(value, "0123456789");
    uint64_t number, factor, rate;

    if (!mir_parse_u64(mir_span(value, digits), UINT64_MAX, &number) || number == 0 ||
        !unit_of(mir_span_of(value + digits), &factor) ||
        __builtin_mul_overflow(number, factor, &rate)) {
        (void)mir_fail(err, MIR_E_USAGE, "--%s: \"%s\" is no number of bytes a second", option,
                       value);
        return mir_hint(err, "write it as 500K, 2M, 1GiB or 1000000");
    }
    *out = rate;
    return true;
}

static bool take_stall(struct cli_access *access, const char *value, struct mir_error *err)
{
    uint64_t seconds;

    if (!cli_number("stall-timeout", value, 1, STALL_SECONDS_MAX, &seconds, err))
        return false;
    access->stall_timeout_ms = (int64_t)seconds * 1000;
    return true;
}

bool cli_access_take(struct cli *cli, struct cli_access *access, int id, const char *value,
                     struct mir_error *err)
{
    switch ((enum cli_access_option)id) {
    case CLI_OPT_AUTHFILE:
        access->authfile = value;
        return true;
    case CLI_OPT_SRC_AUTHFILE:
        access->source.authfile = value;
        return true;
    case CLI_OPT_DEST_AUTHFILE:
        access->destination.authfile = value;
        return true;
    case CLI_OPT_CREDS:
        return take_creds(cli, &access->source_creds, "--creds", value);
    case CLI_OPT_SRC_CREDS:
        return take_creds(cli, &access->source_creds, "--src-creds", value);
    case CLI_OPT_DEST_CREDS:
        return take_creds(cli, &access->destination_creds, "--dest-creds", value);
    case CLI_OPT_NO_CREDS:
    case CLI_OPT_SRC_NO_CREDS:
        return cli_bool("no-creds", value, &access->source.no_creds, err);
    case CLI_OPT_DEST_NO_CREDS:
        return cli_bool("dest-no-creds", value, &access->destination.no_creds, err);
    case CLI_OPT_TLS_VERIFY:
        return take_tls("tls-verify", value, &access->source, err);
    case CLI_OPT_SRC_TLS_VERIFY:
        return take_tls("src-tls-verify", value, &access->source, err);
    case CLI_OPT_DEST_TLS_VERIFY:
        return take_tls("dest-tls-verify", value, &access->destination, err);
    case CLI_OPT_CERT_DIR:
    case CLI_OPT_SRC_CERT_DIR:
        access->source.cert_dir = value;
        return true;
    case CLI_OPT_DEST_CERT_DIR:
        access->destination.cert_dir = value;
        return true;
    case CLI_OPT_RETRY_TIMES:
        return take_retry(access, value, err);
    case CLI_OPT_STALL_TIMEOUT:
        return take_stall(access, value, err);
    case CLI_OPT_LIMIT_RATE:
        return parse_rate("limit-rate", value, &access->limit_rate, err);
    }
    assert(id >= CLI_OPT_AUTHFILE && id <= CLI_OPT_LIMIT_RATE && false);
    return true;
}

/* Before anything is read: two that want standard input are told so at once. */
static bool claim_creds(struct cli *cli, const struct cli_creds *creds, struct mir_error *err)
{
    if (!creds->option || strchr(creds->text, ':') || cli_has_terminal())
        return true;
    return cli_claim_stdin(cli, creds->option, err);
}

static bool finish_side(struct cli *cli, const struct cli_access *access, const char *name,
                        const struct reg_options *side, struct cli_creds *creds,
                        struct reg_options *out, struct mir_error *err)
{
    *out = *side;
    out->retry_times = access->retry_times;
    out->stall_timeout_ms = access->stall_timeout_ms;
    out->limit_rate = access->limit_rate;
    if (!out->authfile)
        out->authfile = access->authfile;
    if (creds->option && out->no_creds)
        return mir_fail(err, MIR_E_USAGE, "credentials for the %s are given and refused", name);
    if (creds->option && !cli_complete_creds(cli, creds->option, &creds->text, err))
        return false;
    out->creds = creds->text;
    return true;
}

bool cli_access_sides(struct cli *cli, struct cli_access *access, struct reg_options *source,
                      struct reg_options *destination, struct mir_error *err)
{
    access->source.option_prefix = destination ? "src-" : "";
    access->destination.option_prefix = "dest-";
    if (!claim_creds(cli, &access->source_creds, err) ||
        !claim_creds(cli, &access->destination_creds, err))
        return false;
    if (source &&
        !finish_side(cli, access, "source", &access->source, &access->source_creds, source, err))
        return false;
    return !destination || finish_side(cli, access, "destination", &access->destination,
                                       &access->destination_creds, destination, err);
}

bool cli_claim_source(struct cli *cli, const char *source, struct mir_error *err)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* copy_add() judges it */
    auto_place place = {0};

    if (!copy_place_parse(mir_span_of(source), true, &place, &ignored) ||
        place.kind != COPY_PLACE_LAYOUT || place.form != BUNDLE_FORM_PIPE)
        return true;
    return cli_claim_stdin(cli, "bundle:-", err);
}
