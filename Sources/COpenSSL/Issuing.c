#include "COpenSSL.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

EVP_PKEY *openssl_make_p256_key(void) { return EVP_EC_gen("P-256"); }

EVP_PKEY *openssl_make_rsa_key(int bits) { return EVP_RSA_gen((unsigned)bits); }

// 159 random bits: unpredictable, positive, and within the 20 bytes of RFC 5280 section 4.1.2.2.
static int set_random_serial(X509 *certificate) {
    BIGNUM *number = BN_new();
    int done = number && BN_rand(number, 159, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return done;
}

X509 *openssl_begin_certificate(EVP_PKEY *key, int64_t not_before, int64_t not_after) {
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, X509_VERSION_3) && set_random_serial(certificate) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)not_before) &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after) && X509_set_pubkey(certificate, key))
        return certificate;
    X509_free(certificate);
    return NULL;
}

int openssl_add_to_subject(X509 *certificate, const char *field, const char *text) {
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), field, MBSTRING_UTF8,
                                      (const unsigned char *)text, -1, -1, 0);
}

int openssl_set_issuer(X509 *certificate, X509 *issuer) {
    return X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
}

int openssl_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    int done = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return done;
}

int openssl_append_name(GENERAL_NAMES *names, int type, const uint8_t *bytes, size_t count) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    if (!name || !value || !ASN1_STRING_set(value, bytes, (int)count)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return 0;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0) return 1;
    GENERAL_NAME_free(name);
    return 0;
}

int openssl_set_sans(X509 *certificate, GENERAL_NAMES *names, int is_critical) {
    return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, is_critical, X509V3_ADD_DEFAULT);
}

int openssl_sign(X509 *certificate, EVP_PKEY *key) { return X509_sign(certificate, key, EVP_sha256()) > 0; }

int openssl_write_certificate(BIO *pem, X509 *certificate) { return PEM_write_bio_X509(pem, certificate); }

int openssl_write_key(BIO *pem, EVP_PKEY *key) {
    return PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL);
}

long openssl_memory(BIO *memory, const char **bytes) { return BIO_get_mem_data(memory, (char **)bytes); }
