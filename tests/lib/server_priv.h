/*
 * What the files of the scripted server share.
 */
#ifndef TESTS_LIB_SERVER_PRIV_H
#define TESTS_LIB_SERVER_PRIV_H

#include "lib/server.h"

#include <pthread.h>

#include <openssl/ssl.h>

#include "base/mem.h"

#define SERVER_CONNS_MAX    512
#define SERVER_REQUESTS_MAX 20000
#define SERVER_HEADER_MAX   (256u << 10)

struct server_conn {
    struct server *server;
    pthread_t thread;
    int fd;
    SSL *ssl; /* NULL: plain */
};

struct server {
    int listener;
    SSL_CTX *tls;
    pthread_t thread;
    char host[64];
    char url[80];
    const struct server_reply *replies;
    size_t reply_count;
    pthread_mutex_t lock; /* of what follows */
    unsigned *used;
    struct server_hook hook; /* arrived NULL: none */
    struct server_conn *conns[SERVER_CONNS_MAX];
    size_t conn_count;
    struct server_request *requests[SERVER_REQUESTS_MAX];
    size_t request_count;
    bool stopping;
};

/* server_io.c */
bool server_write(struct server_conn *conn, const void *data, size_t len);
/** Bytes read, 0 at the end or on trouble. */
size_t server_read(struct server_conn *conn, void *data, size_t len);
/** Make the close that follows a TCP reset. */
void server_reset(struct server_conn *conn);
/** Until the other side closes; what it sends is read. */
void server_await_close(struct server_conn *conn);
/** The same; what it sends is left where it is. */
void server_await_hangup(struct server_conn *conn);

/* server_conn.c */
/** A connection's thread. */
void *server_conn_main(void *ctx);

/* server.c */
/** The reply for a request, which counts as used; NULL: none fits. */
const struct server_reply *server_choose(struct server *server, struct server_request *request);
/** Into the record, complete; taken. */
void server_record(struct server *server, struct server_request *request);
/** The hook's turn, if there is one. */
void server_tell_hook(struct server *server, const struct server_request *request);
/** Text with "{host}" filled in; the caller frees. */
char *server_fill(const struct server *server, const char *text);

#endif
