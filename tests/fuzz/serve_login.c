/*
 * What clients say they are, files of users, and what of it stands in the log: nothing is taken
 * that is longer than it may be or holds control bytes, and a line of the log stays one line.
 *
 * The input is an Authorization header, and after the first NUL byte a file of users.
 */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "serve/access_log_priv.h"
#include "serve/users_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_log(const char *text)
{
    auto_free char *target = serve_log_target(text);
    struct serve_log_entry entry = {.client = "192.0.2.1",
                                    .user = text,
                                    .method = text,
                                    .target = target,
                                    .version = text,
                                    .agent = text};
    auto_buf line;

    mir_buf_init(&line, SERVE_LOG_LINE_MAX);
    serve_log_format(&entry, &line);
    assert(!line.overflow && line.len > 0 && strlen(line.ptr) == line.len);
    assert(strcspn(line.ptr, "\n") == line.len - 1);
    for (size_t i = 0; i + 1 < line.len; i++)
        assert(line.ptr[i] >= 0x20 && line.ptr[i] < 0x7f);
}

static void check_login(const char *header)
{
    struct serve_login login;

    if (!serve_login_parse(header, &login))
        return;
    assert(login.user[0] != '\0' && strlen(login.user) <= SERVE_USER_MAX);
    assert(strlen(login.password) <= SERVE_PASSWORD_MAX && !strchr(login.user, ':'));
    check_log(login.user);
}

static void check_users(struct mir_span text, const struct serve_login *stranger)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct serve_users *users;

    if (serve_users_parse(text, "users", &users, &err)) {
        assert(!serve_users_knows(users, stranger));
        serve_users_free(users);
    } else {
        assert(err.code == MIR_E_FORMAT && err.text[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct serve_login stranger = {.user = "stranger", .password = "x"};
    auto_free char *header = mir_strndup((const char *)data, size);
    size_t len = strlen(header);

    check_login(header);
    check_log(header);
    if (len < size)
        check_users(mir_span(data + len + 1, size - len - 1), &stranger);
    return 0;
}
