/*
 * Base64 that is a little wrong, and accepted on clusters all the same.
 */
#include "icsp/binary_priv.h"

#include "base/base64.h"
#include "base/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Clear the bits of the last digit that belong to no byte. */
static void clear_spare_bits(char *text, size_t len)
{
    unsigned padding = 0;

    while (len > 0 && strchr("=\r\n", text[len - 1])) {
        padding += text[len - 1] == '=';
        len--;
    }
    if (len > 0 && (padding == 1 || padding == 2)) {
        const char *digit = strchr(alphabet, text[len - 1]);
        unsigned spare = padding == 1 ? 3 : 15;

        if (digit && *digit)
            text[len - 1] = alphabet[(unsigned)(digit - alphabet) & ~spare];
    }
}

bool icsp_base64_decode(const char *text, char **out, size_t *len)
{
    auto_free char *copy = mir_strdup(text);
    size_t bytes = strlen(copy);

    clear_spare_bits(copy, bytes);
    return mir_base64_decode(mir_span(copy, bytes), out, len);
}
