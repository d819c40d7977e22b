/*
 * whoserver PORT...: a registry that wants to know who asks, and has nothing. For a network
 * namespace of its own: it brings the loopback device up, and listens on 127.0.0.1 at each PORT.
 * Prints "listening" once it does, then a line for each time it was asked for a token:
 *   nobody          without credentials
 *   user NAME       with Basic credentials; the password has to be "hunter2", else "wrong NAME"
 *   token TEXT      with that identity token
 * Whoever has a token finds that there is no such image. Ends on SIGTERM, and when the process that
 * started it does.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

#define FORM_MAX 4096

/* What a request brings, until it is complete. */
struct form {
    struct MHD_PostProcessor *reader;
    struct mir_buf refresh_token;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void bring_up_loopback(void)
{
    struct ifreq device = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &device) != 0)
        die("bring up the loopback device");
    (void)close(fd);
}

/* ---- who asks ------------------------------------------------------------------------------ */

static void say_who(struct MHD_Connection *connection, const struct form *form)
{
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(connection, &password);

    if (form->refresh_token.len > 0)
        (void)printf("token %s\n", form->refresh_token.ptr);
    else if (user)
        (void)printf("%s %s\n", password && strcmp(password, "hunter2") == 0 ? "user" : "wrong",
                     user);
    else
        (void)printf("nobody\n");
    (void)fflush(stdout);
    MHD_free(user);
    MHD_free(password);
}

static enum MHD_Result take_field(void *ctx, enum MHD_ValueKind kind, const char *key,
                                  const char *file, const char *type, const char *encoding,
                                  const char *data, uint64_t offset, size_t size)
{
    struct form *form = ctx;

    (void)kind, (void)file, (void)type, (void)encoding, (void)offset;
    if (strcmp(key, "refresh_token") == 0)
        mir_buf_add(&form->refresh_token, mir_span(data, size));
    return MHD_YES;
}

/* ---- answers ------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *body,
                              const char *challenge)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), mir_strdup(body), MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    if (challenge)
        (void)MHD_add_response_header(response, "WWW-Authenticate", challenge);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_complete(struct MHD_Connection *connection, const char *path,
                                       const struct form *form)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *login = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    auto_free char *challenge =
        mir_format("Bearer realm=\"http://%s/token\",service=\"who\"", host ? host : "");

    if (strcmp(path, "/token") == 0) {
        say_who(connection, form);
        return answer(connection, MHD_HTTP_OK, "{\"token\":\"t\",\"expires_in\":300}", NULL);
    }
    if (!login || strncmp(login, "Bearer ", 7) != 0)
        return answer(connection, MHD_HTTP_UNAUTHORIZED,
                      "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}", challenge);
    if (strcmp(path, "/v2/") == 0)
        return answer(connection, MHD_HTTP_OK, "{}", NULL);
    return answer(connection, MHD_HTTP_NOT_FOUND, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}",
                  NULL);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct form *form = *state;

    (void)ctx, (void)version, (void)method;
    if (!form) {
        form = mir_alloc(sizeof(*form));
        mir_buf_init(&form->refresh_token, FORM_MAX);
        form->reader = MHD_create_post_processor(connection, FORM_MAX, take_field, form);
        *state = form;
        return MHD_YES;
    }
    if (*size > 0) {
        if (form->reader)
            (void)MHD_post_process(form->reader, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return answer_complete(connection, path, form);
}

static void on_end(void *ctx, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code)
{
    struct form *form = *state;

    (void)ctx, (void)connection, (void)code;
    if (!form)
        return;
    if (form->reader)
        (void)MHD_destroy_post_processor(form->reader);
    mir_buf_release(&form->refresh_token);
    free(form);
}

/* ---- ports --------------------------------------------------------------------------------- */

static void listen_on(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint64_t port;

    if (!mir_parse_u64(mir_span_of(text), UINT16_MAX, &port))
        die(text);
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, (uint16_t)port, NULL, NULL, on_request,
                          NULL, MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address,
                          MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END))
        die("listen");
}

int main(int argc, char **argv)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    bring_up_loopback();
    for (int i = 1; i < argc; i++)
        listen_on(argv[i]);
    (void)printf("listening\n");
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}
