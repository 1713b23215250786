import COpenSSL

/// PEM text (RFC 7468) out of and into OpenSSL's memory.
enum PEMText {
    /// What OpenSSL writes.
    static func write(_ body: (OpaquePointer) -> CInt) throws(IssuingError) -> [UInt8] {
        guard let memory = unsafe BIO_new(BIO_s_mem()) else { throw .ofOpenSSL("no memory for PEM text") }
        defer { unsafe BIO_free(memory) }
        guard unsafe body(memory) == 1 else { throw .ofOpenSSL("PEM text cannot be written") }
        var start: UnsafePointer<CChar>?
        let count = unsafe openssl_memory(memory, &start)
        return unsafe UnsafeBufferPointer(start: start, count: count).map { UInt8(bitPattern: $0) }
    }

    /// What OpenSSL finds in a text; nil for nothing.
    static func read(_ text: [UInt8], _ body: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
        guard let memory = unsafe BIO_new_mem_buf(text, CInt(clamping: text.count)) else { return nil }
        defer { unsafe BIO_free(memory) }
        let found = unsafe body(memory)
        ERR_clear_error()
        return unsafe found
    }
}
