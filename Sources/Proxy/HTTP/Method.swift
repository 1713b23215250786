/// A request method, as far as the proxy must know it (RFC 9110 section 9).
package enum Method: UInt8 {
    case get, head, post, put, delete, options, connect, trace, patch, other

    /// RFC 9110 section 9.2.2: doing it twice is the same as doing it once.
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .connect, .patch, .other: false
        }
    }

    /// Methods are case-sensitive (RFC 9110 section 9.1).
    init(_ bytes: Span<UInt8>) {
        switch bytes.count {
        case 3 where bytes.equals("GET"): self = .get
        case 3 where bytes.equals("PUT"): self = .put
        case 4 where bytes.equals("POST"): self = .post
        case 4 where bytes.equals("HEAD"): self = .head
        case 5 where bytes.equals("PATCH"): self = .patch
        case 5 where bytes.equals("TRACE"): self = .trace
        case 6 where bytes.equals("DELETE"): self = .delete
        case 7 where bytes.equals("OPTIONS"): self = .options
        case 7 where bytes.equals("CONNECT"): self = .connect
        case _: self = .other
        }
    }
}
