/*
 * Base64 both ways. Our own decoder, because the rule node files need (CR and LF are skipped,
 * nothing else, padding exact) is none of OpenSSL's.
 */
#include "base/base64.h"

#include <openssl/evp.h>

#include "base/mem.h"

char *mir_base64_encode(struct mir_span bytes)
{
    char *text = mir_alloc(bytes.len / 3 * 4 + 5);

    (void)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.ptr, (int)bytes.len);
    return text;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

bool mir_base64_decode(struct mir_span text, char **out, size_t *len)
{
    auto_free char *bytes = mir_alloc(text.len / 4 * 3 + 4);
    unsigned bits = 0;
    size_t digits = 0, padding = 0, used = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int value = value_of(c);

        if (c == '\r' || c == '\n')
            continue;
        if (c == '=')
            padding++;
        else if (value < 0 || padding > 0)
            return false;
        bits = bits << 6 | (unsigned)(value < 0 ? 0 : value);
        if (++digits % 4 != 0)
            continue;
        if (padding > 2 || (padding == 2 && (bits & 0xffff) != 0) ||
            (padding == 1 && (bits & 0xff) != 0))
            return false;
        bytes[used++] = (char)(bits >> 16);
        if (padding < 2)
            bytes[used++] = (char)(bits >> 8);
        if (padding < 1)
            bytes[used++] = (char)bits;
        bits = 0;
        if (padding > 0 && used == 0)
            return false;
    }
    if (digits % 4 != 0 || padding > 2)
        return false;
    bytes[used] = '\0';
    *out = mir_steal(&bytes);
    *len = used;
    return true;
}
