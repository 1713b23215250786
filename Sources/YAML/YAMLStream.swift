/// The documents of a file, without a look inside them: which bytes are whose.
package enum YAMLStream {
    package struct Document: Equatable, Sendable {
        package let bytes: Range<Int>
        package let precedingLines: Int
    }

    /// Divides a file at its lines of `---` and after those of `...`. Together the documents are the whole file, in order; one
    /// may hold nothing but comments. Several JSON objects one after another are documents too, as for kubectl.
    package static func documents(in bytes: [UInt8]) -> [Document] {
        var documents: [Document] = []
        var start = 0
        var startLine = 0
        var line = 0
        var hasDirective = false
        var isEmpty = true
        func end(at offset: Int) {
            if offset > start { documents.append(Document(bytes: start..<offset, precedingLines: startLine)) }
            start = offset
            startLine = line
            hasDirective = false
            isEmpty = true
        }
        var offset = 0
        while offset < bytes.count {
            let next = (bytes[offset...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count - 1) + 1
            switch Line(bytes[offset..<next]) {
            case .begin:
                if !hasDirective { end(at: offset) }
                isEmpty = false
                hasDirective = false
            case .finish:
                line += 1
                end(at: next)
                line -= 1
            case .directive: if isEmpty { hasDirective = true }
            case .blank: break
            case .content:
                if isEmpty, bytes[offset..<next].first(where: { !isSpace($0) }) == UInt8(ascii: "{"),
                    let close = closingBrace(bytes, offset), close < bytes.count,
                    let follower = bytes[close...].firstIndex(where: { !isSpace($0) }),
                    bytes[follower] == UInt8(ascii: "{")
                {
                    line += bytes[offset..<follower].count { $0 == UInt8(ascii: "\n") }
                    end(at: follower)
                    offset = follower
                    continue
                }
                isEmpty = false
            }
            offset = next
            line += 1
        }
        end(at: bytes.count)
        return documents
    }

    private enum Line {
        case begin, finish, directive, blank, content

        init(_ line: ArraySlice<UInt8>) {
            if Line.isMarker(line, UInt8(ascii: "-")) {
                self = .begin
            } else if Line.isMarker(line, UInt8(ascii: ".")) {
                self = .finish
            } else if line.first == UInt8(ascii: "%") {
                self = .directive
            } else {
                let text = line.first { !YAMLStream.isSpace($0) }
                self = text == nil || text == UInt8(ascii: "#") ? .blank : .content
            }
        }

        private static func isMarker(_ line: ArraySlice<UInt8>, _ byte: UInt8) -> Bool {
            // A byte order mark may stand before the first.
            let text = line.starts(with: YAMLStream.byteOrderMark) ? line.dropFirst(3) : line
            guard text.prefix(3).elementsEqual([byte, byte, byte]) else { return false }
            return text.dropFirst(3).first.map { YAMLStream.isSpace($0) } ?? true
        }
    }

    package static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    /// Behind the brace that closes the first one; nil if none does.
    private static func closingBrace(_ bytes: [UInt8], _ start: Int) -> Int? {
        var depth = 0
        var isInString = false
        var offset = start
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\\") where isInString: offset += 1
            case UInt8(ascii: "\""): isInString.toggle()
            case UInt8(ascii: "{") where !isInString: depth += 1
            case UInt8(ascii: "}") where !isInString:
                depth -= 1
                if depth == 0 { return offset + 1 }
            case _: break
            }
            offset += 1
        }
        return nil
    }
}
