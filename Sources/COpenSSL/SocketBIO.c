// A BIO (BIO_meth_new(3)) over a non-blocking socket. Unlike OpenSSL's own it knows send(2)'s flags: of a long write only
// the last record goes out at once, and the others wait in the kernel for it, so the peer is woken once.

#include "CLinux.h"
#include "COpenSSL.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

struct state {
    int descriptor;
    int has_more;
    int has_ended;
};

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int must_wait(ssize_t result) { return result == -EAGAIN || result == -EINTR; }

/// BIO_write(3) and BIO_read(3) tell failures by errno.
static int told(ssize_t result) {
    if (result >= 0) return (int)result;
    errno = (int)-result;
    return -1;
}

static int write_bytes(BIO *bio, const char *bytes, int count) {
    struct state *state = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t result = linux_send_flags(state->descriptor, bytes, (size_t)count, state->has_more ? MSG_MORE : 0);
    if (must_wait(result)) BIO_set_retry_write(bio);
    return told(result);
}

static int read_bytes(BIO *bio, char *bytes, int count) {
    struct state *state = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t result = linux_receive(state->descriptor, bytes, (size_t)count);
    if (must_wait(result)) BIO_set_retry_read(bio);
    if (result == 0) state->has_ended = 1;
    return told(result);
}

static long control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    struct state *state = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;  // nothing is kept here
    case BIO_CTRL_EOF: return state->has_ended;
    default: return 0;
    }
}

static int destroy(BIO *bio) {
    free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (!method) return;
    BIO_meth_set_write(method, write_bytes);
    BIO_meth_set_read(method, read_bytes);
    BIO_meth_set_ctrl(method, control);
    BIO_meth_set_destroy(method, destroy);
}

int openssl_attach_socket(SSL *session, int descriptor) {
    pthread_once(&once, make_method);
    struct state *state = calloc(1, sizeof *state);
    BIO *bio = method && state ? BIO_new(method) : NULL;
    if (!bio) {
        free(state);
        return 0;
    }
    state->descriptor = descriptor;
    BIO_set_data(bio, state);
    BIO_set_init(bio, 1);
    SSL_set_bio(session, bio, bio);
    return 1;
}

void openssl_expect_more(SSL *session, int has_more) {
    struct state *state = BIO_get_data(SSL_get_wbio(session));
    state->has_more = has_more;
}
