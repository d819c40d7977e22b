/*
 * How the parsers of this directory show foreign text in an error: cut, and in printable ASCII.
 */
#ifndef IMAGE_TEXT_PRIV_H
#define IMAGE_TEXT_PRIV_H

#include "base/span.h"

#define IMG_SHOWN_MAX 160

struct img_shown {
    char text[IMG_SHOWN_MAX];
};

/** Bytes outside printable ASCII become '?'; what does not fit ends in "...". */
struct img_shown img_show(struct mir_span bytes);

/** Only printable ASCII, blanks included? Such text may stand in a header or an error. */
bool img_is_printable(struct mir_span bytes);

#endif
