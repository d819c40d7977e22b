/*
 * Foreign text in errors and headers. Every parser here quotes what it refuses; this keeps control
 * bytes and endless names out of terminals and logs.
 */
#include "image/text_priv.h"

static bool is_printable(char c)
{
    return c >= 0x20 && c <= 0x7e;
}

struct img_shown img_show(struct mir_span bytes)
{
    static const char dots[] = "...";
    struct img_shown shown = {.text = ""};
    size_t room = sizeof(shown.text) - sizeof(dots);
    size_t len = bytes.len < room ? bytes.len : room;

    for (size_t i = 0; i < len; i++)
        shown.text[i] = is_printable(bytes.ptr[i]) ? bytes.ptr[i] : '?';
    if (len < bytes.len)
        memcpy(shown.text + len, dots, sizeof(dots));
    return shown;
}

bool img_is_printable(struct mir_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (!is_printable(bytes.ptr[i]))
            return false;
    }
    return true;
}
