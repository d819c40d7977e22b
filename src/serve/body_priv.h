/*
 * The bytes of blobs, on their way to a client.
 */
#ifndef SERVE_BODY_PRIV_H
#define SERVE_BODY_PRIV_H

#include "base/sink.h"
#include "serve/catalog_priv.h"
#include "serve/range_priv.h"

struct MHD_Response;

enum serve_body_check {
    SERVE_BODY_CHECK_NONE, /* bytes as they lie there */
    SERVE_BODY_CHECK_HASH, /* a whole blob nothing is known of: hash it on the way */
    SERVE_BODY_CHECK_STAMP /* it was sound; see that it still is */
};

struct serve_body_options {
    struct serve_content *content;
    struct serve_range range; /* WHOLE or PART, not empty */
    enum serve_body_check check;
    struct bundle_stamp stamp; /* HASH, STAMP: of before anything is read */
    bool is_head;              /* only headers will be sent */
    const struct mir_sink *sink;
};

/**
 * A body as a response, or NULL with err. Its last piece goes out only when the check was passed;
 * if it fails, the connection is closed, so that a client sees less than it was promised. Content
 * and reader have to stay until the request is completed.
 */
struct MHD_Response *serve_body_new(const struct serve_body_options *options,
                                    struct mir_error *err);

#endif
