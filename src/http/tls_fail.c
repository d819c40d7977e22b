/*
 * TLS that failed, in words: what was wrong with which certificate, or why the handshake ended, and
 * what mends it. Called by fail.c; knows OpenSSL's words and numbers as libcurl passes them on.
 *
 * Invariant: what a stranger's certificate says is bounded and free of control bytes before it gets
 * here (peer.c).
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <time.h>

enum trouble {
    TROUBLE_OTHER,
    TROUBLE_NO_TLS,
    TROUBLE_TOO_OLD,
    TROUBLE_HANDSHAKE,    /* refused without a reason */
    TROUBLE_SERVER_NAME,  /* it does not know the name it was asked under */
    TROUBLE_CLIENT,       /* our certificate, or that there is none */
    TROUBLE_CLIENT_FILES, /* ours cannot be used */
    TROUBLE_CA_FILES,     /* nor what is to be trusted */
    TROUBLE_CERTIFICATE,  /* none of those that follow */
    TROUBLE_SELF_SIGNED,
    TROUBLE_UNKNOWN_CA,     /* the chain ends in a CA nobody here trusts */
    TROUBLE_UNKNOWN_ISSUER, /* the chain ends before one */
    TROUBLE_EXPIRED,
    TROUBLE_NOT_YET,
    TROUBLE_OTHER_NAME,
};

/* OpenSSL's X509_V_ERR_*, which libcurl hands out as they are. */
enum verify_result {
    VERIFY_OK = 0,
    VERIFY_UNSPECIFIED = 1, /* what libcurl begins with */
    VERIFY_NO_ISSUER = 2,
    VERIFY_NOT_YET_VALID = 9,
    VERIFY_HAS_EXPIRED = 10,
    VERIFY_SELF_SIGNED_LEAF = 18,
    VERIFY_SELF_SIGNED_CA = 19,
    VERIFY_NO_LOCAL_ISSUER = 20,
    VERIFY_LEAF_SIGNATURE = 21,
};

/* ---- which trouble ------------------------------------------------------------------------- */

static enum trouble trouble_of_text(const char *text)
{
    static const struct {
        const char *words;
        enum trouble trouble;
    } known[] = {
        {"wrong version number", TROUBLE_NO_TLS},
        {"packet length too long", TROUBLE_NO_TLS},
        {"http request", TROUBLE_NO_TLS},
        {"unsupported protocol", TROUBLE_TOO_OLD},
        {"alert protocol version", TROUBLE_TOO_OLD},
        {"alert handshake failure", TROUBLE_HANDSHAKE},
        {"alert insufficient security", TROUBLE_HANDSHAKE},
        {"unrecognized name", TROUBLE_SERVER_NAME},
        {"certificate required", TROUBLE_CLIENT},
        {"alert bad certificate", TROUBLE_CLIENT},
        {"alert unsupported certificate", TROUBLE_CLIENT},
        {"alert certificate revoked", TROUBLE_CLIENT},
        {"alert certificate expired", TROUBLE_CLIENT},
        {"alert certificate unknown", TROUBLE_CLIENT},
        {"alert unknown ca", TROUBLE_CLIENT},
        {"alert access denied", TROUBLE_CLIENT},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strstr(text, known[i].words))
            return known[i].trouble;
    }
    return TROUBLE_OTHER;
}

static enum trouble trouble_of_certificate(long verify)
{
    switch (verify) {
    case VERIFY_OK:
    case VERIFY_UNSPECIFIED: /* the chain was never judged, or is fine: it is the name */
        return TROUBLE_OTHER_NAME;
    case VERIFY_NOT_YET_VALID:
        return TROUBLE_NOT_YET;
    case VERIFY_HAS_EXPIRED:
        return TROUBLE_EXPIRED;
    case VERIFY_SELF_SIGNED_LEAF:
        return TROUBLE_SELF_SIGNED;
    case VERIFY_SELF_SIGNED_CA:
        return TROUBLE_UNKNOWN_CA;
    case VERIFY_NO_ISSUER:
    case VERIFY_NO_LOCAL_ISSUER:
    case VERIFY_LEAF_SIGNATURE:
        return TROUBLE_UNKNOWN_ISSUER;
    default:
        return TROUBLE_CERTIFICATE;
    }
}

bool http_is_tls_alert(const char *curl_text)
{
    enum trouble trouble = trouble_of_text(curl_text);

    return trouble != TROUBLE_OTHER && trouble != TROUBLE_NO_TLS;
}

bool http_is_client_alert(const char *curl_text)
{
    return trouble_of_text(curl_text) == TROUBLE_CLIENT;
}

/* ---- what is known of it ------------------------------------------------------------------- */

/* Everything an error may speak of. */
struct scene {
    const struct http_try *t;
    enum trouble trouble;
    const char *words; /* libcurl's */
    bool at_proxy;     /* it is the proxy that was not trusted */
    char *host;        /* with its port */
    struct http_peer peer;
};

static void scene_release(struct scene *scene)
{
    free(scene->host);
    http_peer_release(&scene->peer);
}
#define auto_scene __attribute__((cleanup(scene_release))) struct scene

static void look_around(struct scene *scene, CURLcode code)
{
    const struct http_try *t = scene->t;
    long verify = 0;
    long proxy_verify = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
    (void)curl_easy_getinfo(t->easy, CURLINFO_PROXY_SSL_VERIFYRESULT, &proxy_verify);
    scene->at_proxy = t->proxy && proxy_verify != VERIFY_OK;
    scene->trouble = trouble_of_text(scene->words);
    if (code == CURLE_SSL_CERTPROBLEM)
        scene->trouble = TROUBLE_CLIENT_FILES;
    if (code == CURLE_SSL_CACERT_BADFILE)
        scene->trouble = TROUBLE_CA_FILES;
    if (code != CURLE_PEER_FAILED_VERIFICATION) {
        scene->host = http_url_host(t->response->url);
        return;
    }
    scene->trouble = trouble_of_certificate(scene->at_proxy ? proxy_verify : verify);
    if (scene->at_proxy) {
        scene->host = mir_format("the proxy %s", t->proxy->shown);
        (void)http_peer_look(t->client, t->proxy->url, NULL, &scene->peer);
    } else {
        scene->host = http_url_host(t->response->url);
        (void)http_peer_look(t->client, t->response->url, t->proxy, &scene->peer);
    }
}

static const char *or_unknown(const char *text)
{
    return text && text[0] != '\0' ? text : "(no name)";
}

/* "2026-11-21 18:00:00 UTC"; the caller frees. */
static char *date_text(int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm parts;
    char text[64];

    if (!gmtime_r(&time, &parts) || strftime(text, sizeof(text), "%F %T UTC", &parts) == 0)
        return mir_strdup("an unknown date");
    return mir_strdup(text);
}

/* The first of the chain that has run out, or is not valid yet; NULL when it is none of these. */
static const struct http_certificate *out_of_time(const struct scene *scene)
{
    int64_t now = (int64_t)time(NULL);

    for (size_t i = 0; i < scene->peer.count; i++) {
        const struct http_certificate *cert = &scene->peer.certs[i];

        if (scene->trouble == TROUBLE_EXPIRED ? cert->until <= now : cert->from > now)
            return cert;
    }
    return NULL;
}

/* ---- texts --------------------------------------------------------------------------------- */

static bool say_time(const struct scene *scene, struct mir_error *err)
{
    const struct http_certificate *cert = out_of_time(scene);
    bool expired = scene->trouble == TROUBLE_EXPIRED;
    auto_free char *date = NULL;

    if (!cert)
        return mir_fail(err, MIR_E_TLS, "TLS: a certificate that %s's leads to %s", scene->host,
                        expired ? "has expired" : "is not valid yet");
    date = date_text(expired ? cert->until : cert->from);
    return mir_fail(err, MIR_E_TLS, "TLS: the certificate of %s%s (%s, issued by %s) %s %s",
                    scene->host, cert == scene->peer.certs ? "" : "'s CA",
                    or_unknown(cert->subject), or_unknown(cert->issuer),
                    expired ? "has expired on" : "is not valid before", date);
}

static bool say_name(const struct scene *scene, struct mir_error *err)
{
    const struct http_certificate *cert = scene->peer.certs;
    bool has_names = cert->names && cert->names[0] != '\0';

    return mir_fail(err, MIR_E_TLS,
                    "TLS: the certificate of %s is for another host: %s (%s, issued by %s)",
                    scene->host, has_names ? cert->names : "it names none",
                    or_unknown(cert->subject), or_unknown(cert->issuer));
}

static bool say_untrusted(const struct scene *scene, struct mir_error *err)
{
    const struct http_certificate *leaf = scene->peer.certs;
    const struct http_certificate *last = &scene->peer.certs[scene->peer.count - 1];
    const char *note = scene->t->tls && scene->t->tls->note ? scene->t->tls->note : "";

    if (scene->trouble == TROUBLE_SELF_SIGNED)
        return mir_fail(err, MIR_E_TLS,
                        "TLS: %s shows a self-signed certificate (%s), which is not trusted here%s",
                        scene->host, or_unknown(leaf->subject), note);
    return mir_fail(err, MIR_E_TLS,
                    "TLS: the certificate of %s (%s) is signed by %s%s, which is not trusted "
                    "here%s",
                    scene->host, or_unknown(leaf->subject),
                    scene->trouble == TROUBLE_UNKNOWN_CA ? "the CA " : "", or_unknown(last->issuer),
                    note);
}

/* What libcurl says of a certificate, without its preface. */
static const char *verdict(const char *words)
{
    const char *colon = strstr(words, "problem: ");

    return colon ? colon + strlen("problem: ") : words;
}

static bool say_certificate(const struct scene *scene, struct mir_error *err)
{
    /* It was gone when we looked again. */
    if (scene->peer.count == 0)
        return mir_fail(err, MIR_E_TLS, "TLS: the certificate of %s: %s", scene->host,
                        verdict(scene->words));
    switch (scene->trouble) {
    case TROUBLE_EXPIRED:
    case TROUBLE_NOT_YET:
        return say_time(scene, err);
    case TROUBLE_OTHER_NAME:
        return say_name(scene, err);
    case TROUBLE_SELF_SIGNED:
    case TROUBLE_UNKNOWN_CA:
    case TROUBLE_UNKNOWN_ISSUER:
        return say_untrusted(scene, err);
    default:
        return mir_fail(err, MIR_E_TLS, "TLS: the certificate of %s (%s) is refused: %s",
                        scene->host, or_unknown(scene->peer.certs[0].subject),
                        verdict(scene->words));
    }
}

/* The alert's own name: "... alert unknown ca, errno 0" as "unknown ca". */
static struct mir_span alert_name(const char *words)
{
    const char *name = strstr(words, "alert ");

    name = name ? name + strlen("alert ") : words;
    return mir_span(name, strcspn(name, ","));
}

static bool say_client(const struct scene *scene, struct mir_error *err)
{
    const struct http_try *t = scene->t;
    struct mir_span alert = alert_name(scene->words);

    if (!t->shows_client)
        return mir_fail(err, MIR_E_TLS, "TLS: %s wants a client certificate, and got none",
                        scene->host);
    return mir_fail(err, MIR_E_TLS, "TLS: %s refuses the client certificate %s: %.*s", scene->host,
                    t->tls->cert_file, MIR_SPAN_ARG(alert));
}

static bool say_client_files(const struct scene *scene, struct mir_error *err)
{
    const struct http_try *t = scene->t;

    if (!t->shows_client)
        return mir_fail(err, MIR_E_TLS, "TLS: %s", scene->words);
    if (strstr(scene->words, "private key"))
        return mir_fail(err, MIR_E_TLS, "TLS: the key %s is damaged, or does not fit %s",
                        t->tls->key_file, t->tls->cert_file);
    return mir_fail(err, MIR_E_TLS, "TLS: the client certificate %s cannot be used",
                    t->tls->cert_file);
}

static bool say(const struct scene *scene, struct mir_error *err)
{
    switch (scene->trouble) {
    case TROUBLE_NO_TLS:
        return mir_fail(err, MIR_E_TLS, "TLS: %s does not answer with TLS", scene->host);
    case TROUBLE_TOO_OLD:
        return mir_fail(err, MIR_E_TLS, "TLS: %s speaks older versions only, and 1.2 is the least",
                        scene->host);
    case TROUBLE_HANDSHAKE:
        return mir_fail(err, MIR_E_TLS,
                        "TLS: %s breaks off the handshake: it offers nothing that is safe enough%s",
                        scene->host,
                        scene->t->shows_client ? "" : ", or wants a client certificate");
    case TROUBLE_SERVER_NAME:
        return mir_fail(err, MIR_E_TLS, "TLS: %s does not know itself by this name", scene->host);
    case TROUBLE_CLIENT:
        return say_client(scene, err);
    case TROUBLE_CLIENT_FILES:
        return say_client_files(scene, err);
    case TROUBLE_CA_FILES:
        return mir_fail(err, MIR_E_TLS, "TLS: a certificate that is to be trusted is damaged");
    case TROUBLE_CERTIFICATE:
    case TROUBLE_SELF_SIGNED:
    case TROUBLE_UNKNOWN_CA:
    case TROUBLE_UNKNOWN_ISSUER:
    case TROUBLE_EXPIRED:
    case TROUBLE_NOT_YET:
    case TROUBLE_OTHER_NAME:
        return say_certificate(scene, err);
    case TROUBLE_OTHER:
        return mir_fail(err, MIR_E_TLS, "TLS: %s", scene->words);
    }
    return false;
}

/* ---- ways out ------------------------------------------------------------------------------ */

/* The option that turns verifying off: "--src-tls-verify=false"; the caller frees. */
static char *careless_option(const struct http_tls *tls)
{
    if (tls->options)
        return mir_format("--%stls-verify=false", tls->options);
    return mir_strdup("--src-tls-verify=false or --dest-tls-verify=false");
}

static bool hint_certificate(const struct scene *scene, const char *careless, struct mir_error *err)
{
    const struct http_tls *tls = scene->t->tls;
    auto_free char *now = date_text((int64_t)time(NULL));

    switch (scene->trouble) {
    case TROUBLE_EXPIRED:
        return mir_hint(err,
                        "have it renewed, if this machine's clock is right (%s); "
                        "or do not verify: %s",
                        now, careless);
    case TROUBLE_NOT_YET:
        return mir_hint(err, "set this machine's clock, if it is wrong: it says %s", now);
    case TROUBLE_OTHER_NAME:
        return mir_hint(err,
                        "use a name that the certificate is for, or have one issued for "
                        "this name; or do not verify: %s",
                        careless);
    default:
        return mir_hint(err, "put %s into %s/ca.crt; or do not verify: %s",
                        scene->trouble == TROUBLE_SELF_SIGNED ? "it" : "the CA's certificate",
                        tls->folder, careless);
    }
}

/* A proxy is no registry: certs.d and our options say nothing of it. */
static bool hint_proxy(const struct scene *scene, struct mir_error *err)
{
    return mir_hint(err,
                    "add the CA of the proxy (from %s) to what this machine trusts, or name it "
                    "in SSL_CERT_FILE",
                    scene->t->proxy->variable);
}

static bool hint(const struct scene *scene, struct mir_error *err)
{
    const struct http_tls *tls = scene->t->tls;
    auto_free char *careless = NULL;

    if (scene->at_proxy)
        return hint_proxy(scene, err);
    if (!tls || !tls->folder)
        return false;
    careless = careless_option(tls);
    switch (scene->trouble) {
    case TROUBLE_OTHER:
        return false;
    case TROUBLE_NO_TLS:
        return mir_hint(err, "if %s speaks plain http: %s", scene->host, careless);
    case TROUBLE_TOO_OLD:
        return mir_hint(err, "it has to be brought up to date, or get a front that speaks TLS 1.2");
    case TROUBLE_HANDSHAKE:
    case TROUBLE_CLIENT:
        return mir_hint(err, "put a pair that it accepts, NAME.cert and NAME.key, into %s",
                        tls->folder);
    case TROUBLE_CLIENT_FILES:
        return mir_hint(err, "both have to be PEM and belong together, the key without a password");
    case TROUBLE_CA_FILES:
        return mir_hint(err, "look at the *.crt of %s, and at SSL_CERT_FILE and SSL_CERT_DIR",
                        tls->folder);
    case TROUBLE_SERVER_NAME:
        return mir_hint(err, "use the name it is known by");
    case TROUBLE_CERTIFICATE:
    case TROUBLE_SELF_SIGNED:
    case TROUBLE_UNKNOWN_CA:
    case TROUBLE_UNKNOWN_ISSUER:
    case TROUBLE_EXPIRED:
    case TROUBLE_NOT_YET:
    case TROUBLE_OTHER_NAME:
        return hint_certificate(scene, careless, err);
    }
    return false;
}

bool http_fail_tls(struct mir_error *err, const struct http_try *t, CURLcode code,
                   const char *words)
{
    auto_scene scene = {.t = t, .words = words};

    look_around(&scene, code);
    (void)say(&scene, err);
    if (scene.trouble == TROUBLE_NO_TLS)
        err->sys = HTTP_SYS_NO_TLS;
    return hint(&scene, err);
}
