/// What a gRPC client is told instead of an HTTP error: gRPC's own mapping of HTTP statuses to status codes.
enum GRPCStatus {
    static func of(_ status: UInt16) -> UInt64 {
        switch status {
        case 400, 431: 13  // INTERNAL
        case 401: 16  // UNAUTHENTICATED
        case 403: 7  // PERMISSION_DENIED
        case 404, 501: 12  // UNIMPLEMENTED
        case 429, 502, 503, 504: 14  // UNAVAILABLE
        case _: 2  // UNKNOWN
        }
    }
}
