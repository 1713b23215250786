// OpenSSL 3.0 to 3.5 for Swift: the library's macros as functions, and its ASN.1 structures as text and bytes.
//
// Functions that fill a buffer answer the number of bytes, or -1 when there is nothing or it does not fit.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>

// MARK: contexts

/// Finds the intermediate certificates of the pair in the trust store, once: otherwise each handshake would, and send the
/// root too, which the peer has (RFC 8446 section 4.4.2). Fails for one that is too weak to be sent.
int openssl_complete_chain(SSL_CTX *context);
/// Options, modes, ciphers and session rules that both sides share.
int openssl_context_defaults(SSL_CTX *context);
int openssl_set_minimum_version(SSL_CTX *context, int is_1_3);
/// 80 bytes: name, HMAC and AES key (SSL_CTX_set_tlsext_ticket_keys(3)). Tickets of expired certificates are ignored.
int openssl_set_ticket_keys(SSL_CTX *context, const uint8_t *keys);
/// Selects `h2`, else `http/1.1`, where the client offers it; goes on without where it offers neither.
void openssl_select_http(SSL_CTX *context);
/// Selects `http/1.1` where the client offers it; goes on without where it does not.
void openssl_select_http1(SSL_CTX *context);
/// Has the versions of each ClientHello noted for `openssl_offered_versions`.
void openssl_note_offered_versions(SSL_CTX *context);
/// A bit each for SSL 3.0 and TLS 1.0, 1.1, 1.2 and 1.3; 0 before the ClientHello came.
int openssl_offered_versions(const SSL *ssl);
/// Requires a certificate of the peer and keeps what is wrong with it for `openssl_verify_failure`.
void openssl_require_peer_certificate(SSL_CTX *context);
/// Takes clients without a certificate, and gives out no tickets.
void openssl_ask_no_certificate(SSL_CTX *context);
/// Takes whatever certificate the server shows, and every cipher that the library has in use.
int openssl_accept_any_certificate(SSL_CTX *context);
int openssl_add_trust_anchor(SSL_CTX *context, X509 *anchor, int announce);

// MARK: sessions

/// Offers these protocols to the server, in the wire format of RFC 7301.
int openssl_offer_protocols(SSL *ssl, const uint8_t *protocols, size_t count);
int openssl_set_server_name(SSL *ssl, const char *name);
int openssl_expect_host(SSL *ssl, const char *name);
int openssl_expect_address(SSL *ssl, const uint8_t *bytes, size_t count);
const char *openssl_alpn(const SSL *ssl, unsigned *count);

/// What the first failed certificate check of this thread's handshake found. The texts stay until the next handshake.
typedef struct {
    /// An X509_V_ERR code; 0 when no check failed.
    int code;
    /// Which certificate of the chain is at fault: 0 is the leaf.
    int depth;
    const char *leaf_subject;
    /// Of the certificate at fault.
    const char *subject;
    const char *issuer;
    int64_t not_before;
    int64_t not_after;
} OpenSSLVerifyFailure;
OpenSSLVerifyFailure openssl_verify_failure(void);
void openssl_forget_verify_failure(void);

/// 1 when the session can be resumed and the certificate that opened it is still valid.
int openssl_session_is_usable(SSL_SESSION *session);

/// Seconds since the epoch when the peer's certificate expires; INT64_MAX without one.
int64_t openssl_peer_expiry(const SSL *ssl);
/// The trust anchor that the handshake found for the peer; NULL after a resumed one, which looked for none.
X509 *openssl_peer_anchor(const SSL *ssl);
/// 1 when the peer's certificate leads to a trust anchor of the context, by what the peer sent in this handshake.
int openssl_peer_is_trusted(const SSL *ssl, SSL_CTX *context);
/// An X509_V code: whether the context's own certificate leads to a trust anchor of the same context.
int openssl_own_chain_failure(SSL_CTX *context, int purpose);

static inline int openssl_reason(unsigned long error) { return ERR_GET_REASON(error); }
static inline int openssl_library(unsigned long error) { return ERR_GET_LIB(error); }

// MARK: certificates

int openssl_subject(X509 *certificate, char *text, size_t capacity);
int openssl_issuer(X509 *certificate, char *text, size_t capacity);
int openssl_common_name(X509 *certificate, char *text, size_t capacity);
int openssl_serial_hex(X509 *certificate, char *text, size_t capacity);
int openssl_sha256(X509 *certificate, uint8_t *digest);
/// Seconds since the epoch; is_after chooses between the two ends.
int64_t openssl_validity(X509 *certificate, int is_after);
/// The subject alternative names; NULL for none. For GENERAL_NAMES_free.
GENERAL_NAMES *openssl_sans(X509 *certificate);
int openssl_san_count(const GENERAL_NAMES *names);
/// One name's bytes, which the list owns; NULL for a type other than GEN_DNS, GEN_URI and GEN_IPADD.
const uint8_t *openssl_san(const GENERAL_NAMES *names, int index, int *type, int *count);
/// 1 when the certificate may serve as the purpose: X509_PURPOSE_SSL_CLIENT or X509_PURPOSE_SSL_SERVER.
int openssl_has_purpose(X509 *certificate, int purpose);
/// 1 when one certificate names the other as its issuer and carries its signature.
int openssl_is_issued_by(X509 *certificate, X509 *issuer);

// MARK: PEM

/// The next certificate of a PEM text, NULL at its end or at garbage; `openssl_pem_is_end` tells which.
X509 *openssl_next_certificate(BIO *pem);
/// The first private key of a PEM text; never asks for a pass phrase.
EVP_PKEY *openssl_first_key(BIO *pem);
int openssl_pem_is_end(void);

/// Has a session read and write this socket; 0 when there is no memory.
int openssl_attach_socket(SSL *session, int descriptor);
/// Whether what is written next is followed by more at once (MSG_MORE of send(2)).
void openssl_expect_more(SSL *session, int has_more);

// MARK: issuing; 1 or a pointer when it is done

EVP_PKEY *openssl_make_p256_key(void);
EVP_PKEY *openssl_make_rsa_key(int bits);
/// A certificate of version 3 with a random serial number, these ends in seconds since the epoch, and the key's public half.
X509 *openssl_begin_certificate(EVP_PKEY *key, int64_t not_before, int64_t not_after);
/// `field` is OpenSSL's short name, as CN or O.
int openssl_add_to_subject(X509 *certificate, const char *field, const char *text);
int openssl_set_issuer(X509 *certificate, X509 *issuer);
/// In the notation of x509v3_config(5); never for values that come from outside.
int openssl_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value);
/// GEN_DNS, GEN_URI or GEN_IPADD.
int openssl_append_name(GENERAL_NAMES *names, int type, const uint8_t *bytes, size_t count);
int openssl_set_sans(X509 *certificate, GENERAL_NAMES *names, int is_critical);
int openssl_sign(X509 *certificate, EVP_PKEY *key);
int openssl_write_certificate(BIO *pem, X509 *certificate);
/// PKCS#8, not encrypted.
int openssl_write_key(BIO *pem, EVP_PKEY *key);
/// What a memory BIO holds; the bytes are the BIO's.
long openssl_memory(BIO *memory, const char **bytes);
