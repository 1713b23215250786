// Gives any OpenSSL client a certificate: h2load has no option for one. Loaded with LD_PRELOAD by bench.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdlib.h>

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
    SSL_CTX *(*original)(const SSL_METHOD *) = (SSL_CTX *(*)(const SSL_METHOD *))dlsym(RTLD_NEXT, "SSL_CTX_new");
    SSL_CTX *context = original(method);
    if (context == NULL) return NULL;
    if (SSL_CTX_use_certificate_chain_file(context, getenv("BENCH_CLIENT_CERT")) != 1) abort();
    if (SSL_CTX_use_PrivateKey_file(context, getenv("BENCH_CLIENT_KEY"), SSL_FILETYPE_PEM) != 1) abort();
    return context;
}
