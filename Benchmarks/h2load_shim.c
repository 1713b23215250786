// What h2load lacks, loaded into it with LD_PRELOAD by bench.py: a client certificate, and a look at gRPC's outcome,
// which is a trailer: a proxy's own error is a "200" with grpc-status 14.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
    SSL_CTX *(*original)(const SSL_METHOD *) = (SSL_CTX *(*)(const SSL_METHOD *))dlsym(RTLD_NEXT, "SSL_CTX_new");
    SSL_CTX *context = original(method);
    if (context == NULL) return NULL;
    if (SSL_CTX_use_certificate_chain_file(context, getenv("BENCH_CLIENT_CERT")) != 1) abort();
    if (SSL_CTX_use_PrivateKey_file(context, getenv("BENCH_CLIENT_KEY"), SSL_FILETYPE_PEM) != 1) abort();
    return context;
}

// h2load runs with one thread.
static nghttp2_on_header_callback on_header;
static long answers, calls_ok, calls_failed;

static int count_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                        const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) answers++;
    if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0) {
        if (value_length == 1 && *value == '0') calls_ok++;
        else calls_failed++;
    }
    return on_header(session, frame, name, name_length, value, value_length, flags, user);
}

void nghttp2_session_callbacks_set_on_header_callback(nghttp2_session_callbacks *callbacks,
                                                      nghttp2_on_header_callback callback) {
    void (*original)(nghttp2_session_callbacks *, nghttp2_on_header_callback) =
        (void (*)(nghttp2_session_callbacks *, nghttp2_on_header_callback))dlsym(
            RTLD_NEXT, "nghttp2_session_callbacks_set_on_header_callback");
    on_header = callback;
    original(callbacks, count_header);
}

__attribute__((destructor)) static void print_counts(void) {
    fprintf(stderr, "calls: %ld answers, %ld ok, %ld failed\n", answers, calls_ok, calls_failed);
}
