/*
 * Bodies of blobs, read a piece at a time into the buffer of the response, so memory does not grow
 * with their size. The library could hand the file to the kernel instead (sendfile), which is not
 * used: nobody would look at the bytes, nor notice that the file was written to.
 */
#include "serve/body_priv.h"

#include <microhttpd.h>

#include "base/file.h"
#include "base/mem.h"

#define PIECE (64u << 10) /* bytes; every client that is sent a blob takes so much memory */

struct body {
    struct serve_body_options options;
    struct mir_hash *hash; /* HASH */
    uint64_t next;         /* byte of the range that is read next */
    int fd;                /* -1: the range lies in more than one file */
    uint64_t fd_offset;    /* of the range */
};

static void body_free(void *ctx)
{
    struct body *body = ctx;

    if (body->fd >= 0)
        (void)close(body->fd);
    mir_hash_free(body->hash);
    free(body);
}

static bool is_sound(struct body *body, struct mir_error *err)
{
    struct serve_content *content = body->options.content;
    struct img_digest got;

    if (body->options.check == SERVE_BODY_CHECK_NONE)
        return true;
    if (body->options.check == SERVE_BODY_CHECK_STAMP)
        return serve_proof_is_unchanged(content, &body->options.stamp) ||
               mir_fail(err, MIR_E_DIGEST, "%s was written to while it was sent",
                        content->blob->digest.text);
    img_digest_from_hash(img_digest_algo(&content->blob->digest), body->hash, &got);
    if (img_digest_check(&content->blob->digest, &got, err)) {
        serve_proof_set(content, SERVE_PROOF_SOUND, &body->options.stamp);
        return true;
    }
    serve_proof_set(content, SERVE_PROOF_DAMAGED, &body->options.stamp);
    return serve_proof_damaged(content, err);
}

/* The next piece; the last one only when the whole is right. */
static bool read_piece(struct body *body, char *bytes, size_t len, struct mir_error *err)
{
    struct serve_body_options *options = &body->options;
    uint64_t left = options->range.len - body->next;

    if (body->fd >= 0 ? !mir_pread_full(body->fd, bytes, len, body->fd_offset + body->next, err)
                      : !bundle_reader_read(options->content->reader, options->content->blob,
                                            options->range.start + body->next, bytes, len, err))
        return mir_context(err, "%s", options->content->blob->digest.text);
    if (body->hash)
        mir_hash_update(body->hash, mir_span(bytes, len));
    if (len == left && !is_sound(body, err))
        return false;
    body->next += len;
    return true;
}

static ssize_t next_piece(void *ctx, uint64_t at, char *bytes, size_t max)
{
    struct body *body = ctx;
    uint64_t left = body->options.range.len - body->next;
    size_t len = left < max ? (size_t)left : max;
    struct mir_error err = MIR_ERROR_INIT;

    if (at == body->next && read_piece(body, bytes, len, &err))
        return (ssize_t)len;
    mir_log(body->options.sink, MIR_LEVEL_ERROR, "%s: broken off: %s",
            bundle_reader_path(body->options.content->reader), err.text);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

struct MHD_Response *serve_body_new(const struct serve_body_options *options, struct mir_error *err)
{
    const struct bundle_blob *blob = options->content->blob;
    struct body *body = mir_alloc(sizeof(*body));
    struct MHD_Response *answer;

    body->options = *options;
    body->fd = -1;
    if (options->check == SERVE_BODY_CHECK_HASH)
        body->hash = mir_hash_new(img_digest_algo(&blob->digest));
    if (!bundle_reader_open_range(options->content->reader, blob, options->range.start,
                                  options->range.len, &body->fd, &body->fd_offset, err)) {
        body_free(body);
        return NULL;
    }
    answer = MHD_create_response_from_callback(options->range.len, options->is_head ? 1 : PIECE,
                                               next_piece, body, body_free);
    if (!answer) {
        (void)mir_fail(err, MIR_E_IO, "no memory for a response");
        body_free(body);
    }
    return answer;
}
