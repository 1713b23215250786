import CNetfilter

/// Reads a list of the kernel's whole, however long it is.
///
/// - Parameter read: fills the buffer, and answers how many there are or a negated errno.
@unsafe func list<Element>(
    _ attempt: String, of blank: Element, _ read: (UnsafeMutablePointer<Element>, CInt) -> CInt
) throws(NetSetupError) -> [Element] {
    var list = [Element](repeating: blank, count: 256)
    while true {
        let capacity = CInt(list.count)
        let count = unsafe list.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.baseAddress.map { unsafe read($0, capacity) } ?? 0
        }
        try check(attempt, count)
        if count <= capacity { return Array(list.prefix(Int(count))) }
        list = [Element](repeating: blank, count: Int(count) + 256)  // there may be more by then
    }
}
