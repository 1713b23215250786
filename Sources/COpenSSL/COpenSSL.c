#include "COpenSSL.h"

#include <string.h>
#include <time.h>

int openssl_context_defaults(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_read_ahead(context, 1);
    // Tickets carry sessions; a cache inside the context would only hold memory and a lock.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_BOTH | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_num_tickets(context, 1);
    // TLS 1.2: forward secrecy and authenticated encryption only, which also is what HTTP/2 asks for (RFC 9113
    // appendix A). TLS 1.3 has nothing else.
    return SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
}

int openssl_complete_chain(SSL_CTX *context) {
    return SSL_CTX_build_cert_chain(context, SSL_BUILD_CHAIN_FLAG_NO_ROOT | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
                                                 SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR) > 0;
}

int openssl_set_minimum_version(SSL_CTX *context, int is_1_3) {
    return SSL_CTX_set_min_proto_version(context, is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
}

static int is_still_valid(SSL_SESSION *session) {
    const X509 *peer = SSL_SESSION_get0_peer(session);
    return peer && X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

int openssl_session_is_usable(SSL_SESSION *session) {
    return SSL_SESSION_is_resumable(session) && is_still_valid(session);
}

// Resuming skips the check of the certificate, which may have expired since: such a peer goes through a full handshake.
static SSL_TICKET_RETURN judge_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_length,
                                      SSL_TICKET_STATUS status, void *unused) {
    (void)ssl;
    (void)name;
    (void)name_length;
    (void)unused;
    switch (status) {
    case SSL_TICKET_SUCCESS: return is_still_valid(session) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
    case SSL_TICKET_SUCCESS_RENEW:
        return is_still_valid(session) ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE_RENEW;
    default: return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
}

int openssl_set_ticket_keys(SSL_CTX *context, const uint8_t *keys) {
    return SSL_CTX_set_tlsext_ticket_keys(context, (void *)keys, 80) == 1 &&
           SSL_CTX_set_session_ticket_cb(context, NULL, judge_ticket, NULL) == 1;
}

static const unsigned char http[] = "\x02h2\x08http/1.1";
enum { http2_bytes = 3 };

// The known protocols begin at `known`.
static int select_http(SSL *ssl, const unsigned char **selected, unsigned char *length, const unsigned char *offered,
                        unsigned offered_length, void *known) {
    (void)ssl;
    unsigned char *match;
    unsigned count = (unsigned)(http + sizeof http - 1 - (const unsigned char *)known);
    if (SSL_select_next_proto(&match, length, known, count, offered, offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *selected = match;
    return SSL_TLSEXT_ERR_OK;
}

void openssl_select_http(SSL_CTX *context) { SSL_CTX_set_alpn_select_cb(context, select_http, (void *)http); }

void openssl_select_http1(SSL_CTX *context) {
    SSL_CTX_set_alpn_select_cb(context, select_http, (void *)(http + http2_bytes));
}

void openssl_ask_no_certificate(SSL_CTX *context) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
}

static int version_bit(unsigned version) {
    return version >= SSL3_VERSION && version <= TLS1_3_VERSION ? 1 << (version - SSL3_VERSION) : 0;
}

// The list lives in the callback only, so its bits are kept with the session, in place of a pointer.
static int note_versions(SSL *ssl, int *alert, void *unused) {
    (void)alert;
    (void)unused;
    int bits = 0;
    const unsigned char *list;
    size_t count;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &list, &count)) {
        for (size_t index = 1; index + 1 < count; index += 2) bits |= version_bit(list[index] << 8 | list[index + 1]);
    } else {
        // Before TLS 1.3 a client names the highest it speaks (RFC 5246 appendix E.1).
        bits = version_bit(SSL_client_hello_get0_legacy_version(ssl));
    }
    SSL_set_app_data(ssl, (void *)(intptr_t)bits);
    return SSL_CLIENT_HELLO_SUCCESS;
}

void openssl_note_offered_versions(SSL_CTX *context) { SSL_CTX_set_client_hello_cb(context, note_versions, NULL); }

int openssl_offered_versions(const SSL *ssl) { return (int)(intptr_t)SSL_get_app_data(ssl); }

int openssl_offer_protocols(SSL *ssl, const uint8_t *protocols, size_t count) {
    return SSL_set_alpn_protos(ssl, protocols, (unsigned)count) == 0;  // the one call where 0 is success
}

// A failed check leaves no certificate in the session, so what the log needs is kept here, like errno.
static _Thread_local struct {
    int code;
    int depth;
    char leaf_subject[256];
    char subject[256];
    char issuer[256];
    int64_t not_before;
    int64_t not_after;
} failure;

static void clip_name(const X509_NAME *name, char *text, size_t capacity);

static int note_failure(int is_ok, X509_STORE_CTX *store) {
    if (is_ok || failure.code) return is_ok;
    failure.code = X509_STORE_CTX_get_error(store);
    failure.depth = X509_STORE_CTX_get_error_depth(store);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    X509 *culprit = X509_STORE_CTX_get_current_cert(store);
    if (!culprit) culprit = leaf;
    if (leaf) clip_name(X509_get_subject_name(leaf), failure.leaf_subject, sizeof failure.leaf_subject);
    if (!culprit) return is_ok;
    clip_name(X509_get_subject_name(culprit), failure.subject, sizeof failure.subject);
    clip_name(X509_get_issuer_name(culprit), failure.issuer, sizeof failure.issuer);
    failure.not_before = openssl_validity(culprit, 0);
    failure.not_after = openssl_validity(culprit, 1);
    return is_ok;
}

void openssl_require_peer_certificate(SSL_CTX *context) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, note_failure);
    // A bundle may hold an intermediate without its root: it is trusted because the operator put it there.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
}

int openssl_accept_any_certificate(SSL_CTX *context) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    return SSL_CTX_set_cipher_list(context, "DEFAULT");
}

OpenSSLVerifyFailure openssl_verify_failure(void) {
    return (OpenSSLVerifyFailure){failure.code,   failure.depth,      failure.leaf_subject, failure.subject,
                                  failure.issuer, failure.not_before, failure.not_after};
}

void openssl_forget_verify_failure(void) { memset(&failure, 0, sizeof failure); }

int openssl_add_trust_anchor(SSL_CTX *context, X509 *anchor, int announce) {
    if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(context), anchor)) return 0;
    return announce ? SSL_CTX_add_client_CA(context, anchor) : 1;
}

int openssl_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name) == 1; }

int openssl_expect_host(SSL *ssl, const char *name) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, name);
}

int openssl_expect_address(SSL *ssl, const uint8_t *bytes, size_t count) {
    return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), bytes, count);
}

const char *openssl_alpn(const SSL *ssl, unsigned *count) {
    const unsigned char *name = NULL;
    SSL_get0_alpn_selected(ssl, &name, count);
    return (const char *)name;
}

int64_t openssl_peer_expiry(const SSL *ssl) {
    X509 *peer = SSL_get0_peer_certificate(ssl);
    return peer ? openssl_validity(peer, 1) : INT64_MAX;
}

X509 *openssl_peer_anchor(const SSL *ssl) {
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    int count = chain ? sk_X509_num(chain) : 0;
    return count > 0 ? sk_X509_value(chain, count - 1) : NULL;
}

static int chain_failure(X509 *leaf, STACK_OF(X509) *chain, SSL_CTX *context, int purpose) {
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (!check) return X509_V_ERR_OUT_OF_MEM;
    int failure = X509_V_ERR_UNSPECIFIED;
    if (X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context), leaf, chain) &&
        X509_STORE_CTX_set_purpose(check, purpose)) {
        X509_STORE_CTX_set_flags(check, X509_V_FLAG_PARTIAL_CHAIN);
        failure = X509_verify_cert(check) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(check);
    }
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return failure;
}

int openssl_peer_is_trusted(const SSL *ssl, SSL_CTX *context) {
    X509 *peer = SSL_get0_peer_certificate(ssl);
    int purpose = SSL_is_server(ssl) ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
    return peer && chain_failure(peer, SSL_get_peer_cert_chain(ssl), context, purpose) == X509_V_OK;
}

int openssl_own_chain_failure(SSL_CTX *context, int purpose) {
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    X509 *leaf = SSL_CTX_get0_certificate(context);
    return leaf ? chain_failure(leaf, chain, context, purpose) : X509_V_ERR_UNSPECIFIED;
}

static int take(BIO *memory, char *text, size_t capacity) {
    char *bytes;
    long count = BIO_get_mem_data(memory, &bytes);
    int result = -1;
    if (count >= 0 && (size_t)count < capacity) {
        memcpy(text, bytes, (size_t)count);
        text[count] = 0;
        result = (int)count;
    } else if (capacity > 0) {
        text[0] = 0;
    }
    BIO_free(memory);
    return result;
}

static int name_text(const X509_NAME *name, char *text, size_t capacity) {
    BIO *memory = BIO_new(BIO_s_mem());
    if (!memory) return -1;
    // RFC 2253 with everything outside printable ASCII escaped.
    X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253);
    return take(memory, text, capacity);
}

// As much as fits: for messages.
static void clip_name(const X509_NAME *name, char *text, size_t capacity) {
    BIO *memory = BIO_new(BIO_s_mem());
    if (!memory) return;
    X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253);
    int count = BIO_read(memory, text, (int)capacity - 1);
    text[count > 0 ? count : 0] = 0;
    BIO_free(memory);
}

int openssl_subject(X509 *certificate, char *text, size_t capacity) {
    return name_text(X509_get_subject_name(certificate), text, capacity);
}

int openssl_issuer(X509 *certificate, char *text, size_t capacity) {
    return name_text(X509_get_issuer_name(certificate), text, capacity);
}

int openssl_common_name(X509 *certificate, char *text, size_t capacity) {
    X509_NAME *name = X509_get_subject_name(certificate);
    int index = -1, last = -1;
    while ((index = X509_NAME_get_index_by_NID(name, NID_commonName, index)) >= 0) last = index;
    if (last < 0) return -1;
    unsigned char *utf8 = NULL;
    int count = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
    int result = -1;
    if (count >= 0 && (size_t)count < capacity) {
        memcpy(text, utf8, (size_t)count);
        text[count] = 0;
        result = count;
    }
    OPENSSL_free(utf8);
    return result;
}

int openssl_serial_hex(X509 *certificate, char *text, size_t capacity) {
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    if (!number) return -1;
    char *hex = BN_bn2hex(number);
    BN_free(number);
    if (!hex) return -1;
    int count = (int)strlen(hex);
    int result = -1;
    if ((size_t)count < capacity) {
        memcpy(text, hex, (size_t)count + 1);
        result = count;
    }
    OPENSSL_free(hex);
    return result;
}

int openssl_sha256(X509 *certificate, uint8_t *digest) {
    unsigned count = 0;
    return X509_digest(certificate, EVP_sha256(), digest, &count) == 1 ? (int)count : -1;
}

int64_t openssl_validity(X509 *certificate, int is_after) {
    struct tm time;
    memset(&time, 0, sizeof time);
    const ASN1_TIME *end = is_after ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate);
    if (!ASN1_TIME_to_tm(end, &time)) return 0;
    return (int64_t)timegm(&time);
}

GENERAL_NAMES *openssl_sans(X509 *certificate) {
    return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

int openssl_san_count(const GENERAL_NAMES *names) { return names ? sk_GENERAL_NAME_num(names) : 0; }

const uint8_t *openssl_san(const GENERAL_NAMES *names, int index, int *type, int *count) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (!name) return NULL;
    *type = name->type;
    if (name->type != GEN_DNS && name->type != GEN_URI && name->type != GEN_IPADD) return NULL;
    *count = ASN1_STRING_length(name->d.ia5);
    return ASN1_STRING_get0_data(name->d.ia5);
}

int openssl_has_purpose(X509 *certificate, int purpose) { return X509_check_purpose(certificate, purpose, 0) == 1; }

int openssl_is_issued_by(X509 *certificate, X509 *issuer) {
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    return key && X509_check_issued(issuer, certificate) == X509_V_OK && X509_verify(certificate, key) == 1;
}

static int no_pass_phrase(char *buffer, int size, int is_writing, void *unused) {
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)unused;
    return -1;
}

X509 *openssl_next_certificate(BIO *pem) { return PEM_read_bio_X509(pem, NULL, no_pass_phrase, NULL); }
EVP_PKEY *openssl_first_key(BIO *pem) { return PEM_read_bio_PrivateKey(pem, NULL, no_pass_phrase, NULL); }

int openssl_pem_is_end(void) {
    unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}
