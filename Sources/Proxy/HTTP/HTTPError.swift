/// Why a message is not HTTP/1.1 as RFC 9112 has it.
struct HTTPError: Error, Equatable {
    enum Kind: Equatable {
        case badRequestLine, badMethod, badTarget, badVersion
        case badFieldName, badFieldValue, obsoleteFolding, bareCarriageReturn, bareLineFeed
        case missingHost, duplicateHost, badHost
        case badContentLength, duplicateContentLength, lengthAndTransferEncoding, badTransferEncoding, badConnection
        case headTooLarge, targetTooLong, tooManyFields
        case badChunk, badTrailer
        case badStatusLine, tooManyInterim
    }

    let kind: Kind

    init(_ kind: Kind) { self.kind = kind }

    /// The answer to a request that has the error.
    var status: UInt16 {
        switch kind {
        case .headTooLarge, .tooManyFields: 431
        case .targetTooLong: 414
        case .badVersion: 505
        case .badRequestLine, .badMethod, .badTarget, .badFieldName, .badFieldValue, .obsoleteFolding,
            .bareCarriageReturn, .bareLineFeed, .missingHost, .duplicateHost, .badHost, .badContentLength,
            .duplicateContentLength, .lengthAndTransferEncoding, .badTransferEncoding, .badConnection, .badChunk,
            .badTrailer, .badStatusLine, .tooManyInterim:
            400
        }
    }

    var sentence: StaticString {
        switch kind {
        case .badRequestLine: "the request line is malformed"
        case .badMethod: "the method is not a token"
        case .badTarget: "the request target is malformed"
        case .badVersion: "the protocol version is not HTTP/1.0 or HTTP/1.1"
        case .badFieldName: "a field name is malformed"
        case .badFieldValue: "a field value holds a forbidden byte"
        case .obsoleteFolding: "a field value is folded over lines"
        case .bareCarriageReturn: "a carriage return stands without line feed"
        case .bareLineFeed: "a line feed stands without carriage return"
        case .missingHost: "the Host field is missing"
        case .duplicateHost: "there is more than one Host field"
        case .badHost: "the Host field is malformed or contradicts the request target"
        case .badContentLength: "Content-Length is not a number"
        case .duplicateContentLength: "there is more than one Content-Length"
        case .lengthAndTransferEncoding: "Content-Length and Transfer-Encoding contradict each other"
        case .badTransferEncoding: "Transfer-Encoding is not exactly chunked"
        case .badConnection: "Connection names too many fields"
        case .headTooLarge: "the head is too large"
        case .targetTooLong: "the request target is too long"
        case .tooManyFields: "there are too many fields"
        case .badChunk: "a chunk is malformed"
        case .badTrailer: "the trailer section is malformed"
        case .badStatusLine: "the status line is malformed"
        case .tooManyInterim: "there are too many interim answers"
        }
    }
}

/// What a parser says of the bytes it was shown.
enum ParseOutcome: Equatable {
    case complete
    case needsMore
    case failed(HTTPError)
}
