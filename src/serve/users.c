/*
 * Users and their passwords. What the file holds is a bcrypt hash each; libcrypt checks them. A
 * login that was right is remembered as a hash under a key that is drawn anew for every reading of
 * the file, in a table of fixed size: neither a password nor anything one could be found from stays
 * in memory, and another file forgets it all.
 */
#include "serve/users_priv.h"

#include <crypt.h>
#include <pthread.h>
#include <strings.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#define FILE_MAX     (4u << 20) /* bytes */
#define HASH_LEN     60         /* "$2y$10$", 22 characters of salt, 31 of hash */
#define HASH_PREFIX  7
#define COST_MAX     17 /* htpasswd writes no more; it is about 10 s for each password */
#define HEADER_MAX   1024
#define KEY_BYTES    32
#define KNOWN_SLOTS  1024
#define KNOWN_DIGITS 3 /* of a hash in hex: which slot */

struct serve_users {
    char *text; /* of the file; hashes lie in it, each ended by a NUL */
    size_t text_len;
    struct mir_map *hashes;
    const char *any_hash; /* for users who are not there; NULL: the file is empty */
    char key[KEY_BYTES];
    pthread_mutex_t lock;
    char known[KNOWN_SLOTS][MIR_HASH_HEX_MAX];
};

/* ---- what clients send ---- */

static bool is_text(struct mir_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if ((unsigned char)bytes.ptr[i] < 0x20 || bytes.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool take_login(struct mir_span pair, struct serve_login *out)
{
    struct mir_span user, password;
    size_t colon;

    if (!is_text(pair) || !mir_span_find(pair, ':', &colon))
        return false;
    user = mir_span_first(pair, colon);
    password = mir_span_from(pair, colon + 1);
    if (user.len == 0 || user.len > SERVE_USER_MAX || password.len > SERVE_PASSWORD_MAX)
        return false;
    memcpy(out->user, user.ptr, user.len);
    memcpy(out->password, password.ptr, password.len);
    return true;
}

bool serve_login_parse(const char *header, struct serve_login *out)
{
    struct mir_span text;
    char *pair;
    size_t len;
    bool ok;

    *out = (struct serve_login){.user = ""};
    if (!header || strncasecmp(header, "Basic ", 6) != 0 || strlen(header) > HEADER_MAX)
        return false;
    text = mir_span_trim(mir_span_of(header + 6));
    if (!mir_base64_decode(text, &pair, &len))
        return false;
    ok = take_login(mir_span(pair, len), out);
    mir_wipe(pair, len);
    free(pair);
    return ok;
}

void serve_login_wipe(struct serve_login *login)
{
    mir_wipe(login, sizeof(*login));
}

/* ---- the file ---- */

static bool is_bcrypt_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '/';
}

static bool is_bcrypt(struct mir_span hash)
{
    int cost;

    if (hash.len != HASH_LEN || hash.ptr[0] != '$' || hash.ptr[1] != '2' ||
        !strchr("aby", hash.ptr[2]) || hash.ptr[3] != '$' || hash.ptr[6] != '$')
        return false;
    if (hash.ptr[4] < '0' || hash.ptr[4] > '9' || hash.ptr[5] < '0' || hash.ptr[5] > '9')
        return false;
    cost = (hash.ptr[4] - '0') * 10 + hash.ptr[5] - '0';
    for (size_t i = HASH_PREFIX; i < hash.len; i++)
        if (!is_bcrypt_char(hash.ptr[i]))
            return false;
    return cost >= 4 && cost <= COST_MAX;
}

static bool refuse_line(const char *path, size_t number, const char *why, struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_FORMAT, "%s: line %zu: %s", path, number, why);
    return mir_hint(err, "write it with \"htpasswd -B\"");
}

/* line lies in users->text, at whose end there is a NUL. */
static bool take_line(struct serve_users *users, struct mir_span line, const char *path,
                      size_t number, struct mir_error *err)
{
    struct mir_span user, hash;
    size_t colon;
    char *text;

    if (line.len == 0 || line.ptr[0] == '#')
        return true;
    if (!mir_span_find(line, ':', &colon) || colon == 0)
        return refuse_line(path, number, "not USER:HASH", err);
    user = mir_span_first(line, colon);
    hash = mir_span_from(line, colon + 1);
    if (user.len > SERVE_USER_MAX || !is_text(user))
        return refuse_line(path, number, "not the name of a user", err);
    if (!is_bcrypt(hash))
        return refuse_line(path, number, "not a bcrypt hash of cost 4 to 17", err);
    if (mir_map_find(users->hashes, user))
        return refuse_line(path, number, "a user who is there already", err);
    text = users->text + (hash.ptr - users->text);
    text[hash.len] = '\0';
    mir_map_set(users->hashes, user, text);
    users->any_hash = text;
    return true;
}

bool serve_users_parse(struct mir_span text, const char *path, struct serve_users **out,
                       struct mir_error *err)
{
    struct serve_users *users = mir_alloc(sizeof(*users));
    struct mir_span rest, line;
    size_t number = 0;
    bool ok = true;

    (void)pthread_mutex_init(&users->lock, NULL);
    users->hashes = mir_map_new();
    users->text = mir_alloc(text.len + 1);
    users->text_len = text.len;
    memcpy(users->text, text.ptr, text.len);
    rest = mir_span(users->text, text.len);
    while (ok && mir_span_next(&rest, '\n', &line))
        ok = take_line(users, mir_span_trim(line), path, ++number, err);
    if (ok && getrandom(users->key, sizeof(users->key), 0) != (ssize_t)sizeof(users->key))
        ok = mir_fail_errno(err, "getrandom");
    if (!ok) {
        serve_users_free(users);
        return false;
    }
    *out = users;
    return true;
}

bool serve_users_read(const char *path, struct serve_users **out, struct mir_error *err)
{
    char *text;
    size_t len;
    bool ok;

    if (!mir_file_read(path, FILE_MAX, &text, &len, err))
        return false;
    ok = serve_users_parse(mir_span(text, len), path, out, err);
    mir_wipe(text, len);
    free(text);
    return ok;
}

void serve_users_free(struct serve_users *users)
{
    if (!users)
        return;
    mir_map_free(users->hashes);
    mir_wipe(users->text, users->text_len);
    free(users->text);
    mir_wipe(users->key, sizeof(users->key));
    (void)pthread_mutex_destroy(&users->lock);
    free(users);
}

/* ---- checking ---- */

static void mark_of(const struct serve_users *users, const struct serve_login *login,
                    char mark[MIR_HASH_HEX_MAX])
{
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA256);

    mir_hash_update(hash, mir_span(users->key, sizeof(users->key)));
    mir_hash_update(hash, mir_span_of(login->user));
    mir_hash_update(hash, mir_span(":", 1));
    mir_hash_update(hash, mir_span_of(login->password));
    mir_hash_final(hash, mark);
}

static size_t slot_of(const char mark[MIR_HASH_HEX_MAX])
{
    char digits[KNOWN_DIGITS + 1];

    memcpy(digits, mark, KNOWN_DIGITS);
    digits[KNOWN_DIGITS] = '\0';
    return strtoul(digits, NULL, 16) % KNOWN_SLOTS;
}

bool serve_users_knows(struct serve_users *users, const struct serve_login *login)
{
    char mark[MIR_HASH_HEX_MAX];
    bool known;

    mark_of(users, login, mark);
    (void)pthread_mutex_lock(&users->lock);
    known = strcmp(users->known[slot_of(mark)], mark) == 0;
    (void)pthread_mutex_unlock(&users->lock);
    return known;
}

static void remember(struct serve_users *users, const struct serve_login *login)
{
    char mark[MIR_HASH_HEX_MAX];

    mark_of(users, login, mark);
    (void)pthread_mutex_lock(&users->lock);
    memcpy(users->known[slot_of(mark)], mark, sizeof(mark));
    (void)pthread_mutex_unlock(&users->lock);
}

/* In a time that does not depend on where they differ. */
static bool is_equal(const char *a, const char *b, size_t len)
{
    volatile unsigned char difference = 0;

    for (size_t i = 0; i < len; i++)
        difference = (unsigned char)(difference | (unsigned char)(a[i] ^ b[i]));
    return difference == 0;
}

static bool is_password_of(const char *password, const char *hash)
{
    struct crypt_data *data = mir_alloc(sizeof(*data));
    const char *got = crypt_r(password, hash, data);
    bool ok = got && strlen(got) == HASH_LEN && is_equal(got, hash, HASH_LEN);

    mir_wipe(data, sizeof(*data));
    free(data);
    return ok;
}

bool serve_users_check(struct serve_users *users, const struct serve_login *login)
{
    const char *hash;

    if (serve_users_knows(users, login))
        return true;
    hash = mir_map_find(users->hashes, mir_span_of(login->user));
    if (!hash) {
        if (users->any_hash)
            (void)is_password_of(login->password, users->any_hash);
        return false;
    }
    if (!is_password_of(login->password, hash))
        return false;
    remember(users, login);
    return true;
}
