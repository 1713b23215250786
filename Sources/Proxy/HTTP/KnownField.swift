/// Field names that the proxy acts on.
enum KnownField: UInt8 {
    case other
    case host, connection, contentLength, contentType, transferEncoding, upgrade, expect
    case te, keepAlive, proxyConnection, proxyAuthenticate, proxyAuthorization
    case requestID
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `X-Real-IP`.
    case forwarded
    /// `X-Client-*`, `X-Forwarded-Client-Cert`, `Client-Cert`, `Client-Cert-Chain`.
    case clientIdentity

    /// Fields of one connection, not of the message (RFC 9110 section 7.6.1).
    var isHopByHop: Bool {
        switch self {
        case .connection, .transferEncoding, .upgrade, .te, .keepAlive, .proxyConnection, .proxyAuthenticate,
            .proxyAuthorization:
            true
        case .other, .host, .contentLength, .contentType, .expect, .requestID, .forwarded, .clientIdentity: false
        }
    }

    init(_ name: Span<UInt8>) {
        self = KnownField.recognize(name)
        // Gateways that turn names into variables (CGI, WSGI) take `_` for `-`, so a forged header may come either way.
        if self == .other, name.count >= 9 { self = KnownField.recognizeSpoof(name) }
    }

    private static func recognize(_ name: Span<UInt8>) -> KnownField {
        switch name.count {
        case 2 where name.equalsIgnoringCase("te"): .te
        case 4 where name.equalsIgnoringCase("host"): .host
        case 6 where name.equalsIgnoringCase("expect"): .expect
        case 7 where name.equalsIgnoringCase("upgrade"): .upgrade
        case 10 where name.equalsIgnoringCase("connection"): .connection
        case 10 where name.equalsIgnoringCase("keep-alive"): .keepAlive
        case 12 where name.equalsIgnoringCase("x-request-id"): .requestID
        case 12 where name.equalsIgnoringCase("content-type"): .contentType
        case 14 where name.equalsIgnoringCase("content-length"): .contentLength
        case 16 where name.equalsIgnoringCase("proxy-connection"): .proxyConnection
        case 17 where name.equalsIgnoringCase("transfer-encoding"): .transferEncoding
        case 18 where name.equalsIgnoringCase("proxy-authenticate"): .proxyAuthenticate
        case 19 where name.equalsIgnoringCase("proxy-authorization"): .proxyAuthorization
        case 25 where name.equalsIgnoringCase("proxy-authentication-info"): .proxyAuthenticate
        case _: .other
        }
    }

    private static func recognizeSpoof(_ name: Span<UInt8>) -> KnownField {
        switch name[0] | 0x20 {
        case UInt8(ascii: "x"):
            if isForged(name, "x-client-", prefix: true) || isForged(name, "x-forwarded-client-cert") {
                return .clientIdentity
            }
            if isForged(name, "x-real-ip") || isForged(name, "x-forwarded-for") || isForged(name, "x-forwarded-proto")
                || isForged(name, "x-forwarded-host")
            {
                return .forwarded
            }
            return .other
        case UInt8(ascii: "c"):
            return isForged(name, "client-cert") || isForged(name, "client-cert-chain") ? .clientIdentity : .other
        case _: return .other
        }
    }

    private static func isForged(_ name: Span<UInt8>, _ text: StaticString, prefix: Bool = false) -> Bool {
        guard prefix ? name.count >= text.utf8CodeUnitCount : name.count == text.utf8CodeUnitCount else { return false }
        let expected = unsafe text.utf8Start
        for index in 0..<text.utf8CodeUnitCount {
            let byte = name[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : name[index] | 0x20
            if unsafe byte != expected[index] { return false }
        }
        return true
    }
}
