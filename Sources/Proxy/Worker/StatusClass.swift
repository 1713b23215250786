/// What an answer was, as coarse as a label may be.
enum StatusClass: UInt8, CaseIterable, Sendable {
    /// The client left before there was an answer.
    case none
    case informational, success, redirection, clientError, serverError

    init(_ status: UInt16) {
        switch status {
        case 100..<200: self = .informational
        case 200..<300: self = .success
        case 300..<400: self = .redirection
        case 400..<500: self = .clientError
        case 500...: self = .serverError
        case _: self = .none
        }
    }

    var name: StaticString {
        switch self {
        case .none: "none"
        case .informational: "1xx"
        case .success: "2xx"
        case .redirection: "3xx"
        case .clientError: "4xx"
        case .serverError: "5xx"
        }
    }
}
