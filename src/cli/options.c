/*
 * Reading the options that say how registries are reached, for one side or for two.
 */
#include "cli/options.h"

#include <assert.h>

#define RETRY_TIMES_DEFAULT 3
#define RETRY_TIMES_MAX     100

static const char user_agent[] = "mirror/" MIRROR_VERSION;

void cli_access_init(struct cli_access *access)
{
    *access = (struct cli_access){.retry_times = RETRY_TIMES_DEFAULT};
    access->source.user_agent = user_agent;
    access->destination.user_agent = user_agent;
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

bool cli_access_take(struct cli_access *access, int id, const char *value, struct mir_error *err)
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
    case CLI_OPT_SRC_CREDS:
        access->source.creds = value;
        return true;
    case CLI_OPT_DEST_CREDS:
        access->destination.creds = value;
        return true;
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
    }
    assert(id >= CLI_OPT_AUTHFILE && id <= CLI_OPT_CERT_DIR && false);
    return true;
}

static bool finish_side(const struct cli_access *access, const char *name,
                        const struct reg_options *side, struct reg_options *out,
                        struct mir_error *err)
{
    *out = *side;
    out->retry_times = access->retry_times;
    if (!out->authfile)
        out->authfile = access->authfile;
    if (out->creds && out->no_creds)
        return mir_fail(err, MIR_E_USAGE, "credentials for the %s are given and refused", name);
    return true;
}

bool cli_access_sides(const struct cli_access *access, struct reg_options *source,
                      struct reg_options *destination, struct mir_error *err)
{
    if (source && !finish_side(access, "source", &access->source, source, err))
        return false;
    return !destination ||
           finish_side(access, "destination", &access->destination, destination, err);
}
