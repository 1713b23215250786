package import Manifest

/// Writes a changed document so that what did not change keeps its text: comments, quotes, order, indentation.
///
/// Lines are the unit: an entry of a mapping or an item of a list has the lines from its key or dash to the next one's. Where
/// that does not hold (flow style, aliases, merge keys in what changes) the edit gives up, and so it does when the text
/// that it made does not read as the value that was wanted.
package struct YAMLEdit {
    private struct Unsuitable: Error {}

    private let lines: [ArraySlice<UInt8>]
    private let precedingLines: Int
    private let lineEnd: String
    private var output: [UInt8] = []

    /// The document's bytes with its value changed to another. nil where it cannot be done, which is the case if the value
    /// has no form that reads as that value.
    package static func apply(
        _ value: ManifestValue, to root: YAMLNode, in bytes: ArraySlice<UInt8>, precedingLines: Int
    ) -> YAMLEdit.Result? {
        if let edited = inPlace(value, root, YAMLEdit(bytes, precedingLines)), reads(edited, as: value) {
            return Result(bytes: edited, keepsText: true)
        }
        let anew = YAMLEdit(bytes, precedingLines).writtenAnew(value, root)
        return reads(anew, as: value) ? Result(bytes: anew, keepsText: false) : nil
    }

    package struct Result: Equatable {
        package let bytes: [UInt8]
        /// Whether what did not change has its text still; else the document was written anew, without its comments.
        package let keepsText: Bool
    }

    private static func reads(_ bytes: [UInt8], as value: ManifestValue) -> Bool {
        let node = try? YAMLReader.read(bytes[...])
        return node?.value == value
    }

    private static func inPlace(_ value: ManifestValue, _ root: YAMLNode, _ edit: YAMLEdit) -> [UInt8]? {
        guard case .object(let object) = value, edit.hasPlainLines else { return nil }
        var editing = edit
        do throws(Unsuitable) {
            try editing.document(root, object)
            return editing.output
        } catch {
            return nil
        }
    }

    /// Between the lines before and after the value, which hold the document's marks and comments.
    private consuming func writtenAnew(_ value: ManifestValue, _ root: YAMLNode) -> [UInt8] {
        let start = line(root.position)
        copy(0..<start)
        let text: String
        switch root.style {
        case .flow, .alias:
            // A flow style is JSON, or nearly.
            output += lines[start].prefix { $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "[") }
            text = (line(root.end) > start ? value.json(indentedBy: flowIndentation(start)) : value.json) + "\n"
        case .block, .scalar: text = YAMLEmitter.document(value)
        }
        write(text)
        copy(contentEnd(of: root)..<lines.count)
        return output
    }

    private func flowIndentation(_ start: Int) -> Int {
        guard start + 1 < lines.count else { return 4 }
        return max(1, lines[start + 1].prefix { $0 == UInt8(ascii: " ") }.count)
    }

    private init(_ bytes: ArraySlice<UInt8>, _ precedingLines: Int) {
        lines = YAMLEdit.lines(bytes)
        self.precedingLines = precedingLines
        lineEnd = lines.first?.suffix(2).elementsEqual([0x0d, 0x0a]) == true ? "\r\n" : "\n"
    }

    /// Divided where libyaml counts a line, so that its positions lead to these lines: also after a carriage return alone.
    private static func lines(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = bytes.startIndex
        for index in bytes.indices {
            let isEnd =
                switch bytes[index] {
                case 0x0a: true
                case 0x0d: index + 1 == bytes.endIndex || bytes[index + 1] != 0x0a
                case 0x85, 0xa8, 0xa9: rareBreaks.contains { bytes[start...index].suffix($0.count) == $0[...] }
                case _: false
                }
            guard isEnd else { continue }
            lines.append(bytes[start...index])
            start = index + 1
        }
        if start < bytes.endIndex { lines.append(bytes[start...]) }
        return lines
    }

    /// U+0085, U+2028 and U+2029.
    private static let rareBreaks: [[UInt8]] = [[0xc2, 0x85], [0xe2, 0x80, 0xa8], [0xe2, 0x80, 0xa9]]

    /// Whether all lines end as files' lines do. Only the last one may have no end.
    private var hasPlainLines: Bool {
        lines.dropLast().allSatisfy { $0.last == UInt8(ascii: "\n") }
            && lines.last?.last != 0x0d && !YAMLEdit.rareBreaks.contains { lines.last?.suffix($0.count) == $0[...] }
    }

    private mutating func document(_ root: YAMLNode, _ object: ManifestObject) throws(Unsuitable) {
        guard root.style == .block else { throw Unsuitable() }
        let start = line(root.position)
        let end = contentEnd(of: root)
        copy(0..<start)
        try mapping(root, object, in: start..<end)
        copy(end..<lines.count)
    }

    // MARK: mappings

    /// Writes a mapping whose text has these lines. The first line may have a dash before the first key.
    private mutating func mapping(
        _ node: YAMLNode, _ new: ManifestObject, in range: Range<Int>
    ) throws(Unsuitable) {
        guard case .mapping(let entries) = node.content, node.style == .block, !entries.isEmpty,
            !entries.contains(where: \.isMerged)
        else { throw Unsuitable() }
        let column = node.position.column - 1
        let values = new.dictionary
        let known = Set(entries.map(\.key))
        for (index, entry) in entries.enumerated() {
            let start = index == 0 ? range.lowerBound : line(entry.keyPosition)
            let next = index + 1 < entries.count ? line(entries[index + 1].keyPosition) : range.upperBound
            let end = contentEnd(of: entry)
            guard start < end, end <= next else { throw Unsuitable() }
            if let value = values[entry.key] {
                try self.entry(entry, value, column, in: start..<end)
            } else if index == 0, lines[start].prefix(column).contains(UInt8(ascii: "-")) {
                throw Unsuitable()
            }
            if index + 1 == entries.count {
                for member in new.members where !known.contains(member.key) {
                    write(column) { $0.entry(member.key, member.value, column: column) }
                }
            }
            copy(end..<next)
        }
    }

    private mutating func entry(
        _ entry: YAMLNode.Entry, _ new: ManifestValue, _ column: Int, in range: Range<Int>
    ) throws(Unsuitable) {
        let node = entry.value
        if node.value == new { return copy(range) }
        let keyLine = line(entry.keyPosition)
        let valueLine = node.style == .block ? line(node.position) : keyLine
        switch (node.content, new) {
        case (.mapping, .object(let object)) where valueLine > keyLine && !object.isEmpty:
            copy(range.lowerBound..<valueLine)
            try mapping(node, object, in: valueLine..<range.upperBound)
        case (.sequence(let items), .array(let values)) where valueLine > keyLine && !values.isEmpty:
            try sequence(node, items, values, from: keyLine, in: range)
        case _:
            // The value is written anew behind its key.
            copy(range.lowerBound..<keyLine)
            output += lines[keyLine].prefix(column)
            write(nil) { $0.entry(entry.key, new, column: column) }
        }
    }

    // MARK: lists

    private mutating func sequence(
        _ node: YAMLNode, _ items: [YAMLNode], _ new: [ManifestValue], from keyLine: Int, in range: Range<Int>
    ) throws(Unsuitable) {
        let column = node.position.column - 1
        let starts = try items.map { item throws(Unsuitable) in try dashLine(of: item, column, above: keyLine) }
        let ends = items.map { contentEnd(of: $0) }
        copy(range.lowerBound..<(keyLine + 1))
        // Comments stand above the item that they are about: what is added goes before them.
        var copied = keyLine + 1
        for step in Alignment(items.map(\.value), new).steps {
            switch step {
            case .added(let index): write(column) { $0.item(new[index], column: column) }
            case .removed(let index):
                copy(copied..<starts[index])
                copied = ends[index]
            case .kept(let index, let newIndex):
                guard copied <= starts[index], starts[index] < ends[index] else { throw Unsuitable() }
                copy(copied..<starts[index])
                try item(items[index], new[newIndex], column, in: starts[index]..<ends[index])
                copied = ends[index]
            }
        }
        guard copied <= range.upperBound else { throw Unsuitable() }
        copy(copied..<range.upperBound)
    }

    private mutating func item(
        _ node: YAMLNode, _ new: ManifestValue, _ column: Int, in range: Range<Int>
    ) throws(Unsuitable) {
        if node.value == new { return copy(range) }
        if case .mapping = node.content, case .object(let object) = new, !object.isEmpty {
            return try mapping(node, object, in: range)
        }
        output += lines[range.lowerBound].prefix(column)
        write(nil) { $0.item(new, column: column) }
    }

    /// The line of the dash that an item stands behind.
    private func dashLine(of item: YAMLNode, _ column: Int, above keyLine: Int) throws(Unsuitable) -> Int {
        guard item.style != .alias else { throw Unsuitable() }
        var candidate = line(item.position)
        while candidate > keyLine {
            let text = lines[candidate].dropFirst(column)
            if lines[candidate].prefix(column).allSatisfy({ $0 == UInt8(ascii: " ") }), text.first == UInt8(ascii: "-"),
                text.dropFirst().first.map({ YAMLStream.isSpace($0) }) ?? true
            {
                return candidate
            }
            candidate -= 1
        }
        throw Unsuitable()
    }

    // MARK: lines

    /// The number of a position's line in `lines`.
    private func line(_ position: YAMLPosition) -> Int { position.line - 1 - precedingLines }

    private func contentEnd(of entry: YAMLNode.Entry) -> Int {
        entry.value.style == .alias ? line(entry.keyPosition) + 1 : contentEnd(of: entry.value)
    }

    /// The line behind the last one that belongs to a value.
    private func contentEnd(of node: YAMLNode) -> Int {
        switch node.content {
        case .mapping(let entries) where node.style == .block:
            if let last = entries.last { return contentEnd(of: last) }
        case .sequence(let items) where node.style == .block:
            if let last = items.last { return contentEnd(of: last) }
        case .mapping, .sequence, .scalar: break
        }
        var end = min(lines.count, line(node.end) + (node.end.column > 1 ? 1 : 0))
        if case .scalar(.string(let text)) = node.content, text.utf8.suffix(2).elementsEqual([0x0a, 0x0a]) {
            return max(end, line(node.position) + 1)  // its empty lines are its own
        }
        // A block of text ends where the next thing begins.
        while end - 1 > line(node.position), lines[end - 1].allSatisfy({ YAMLStream.isSpace($0) }) { end -= 1 }
        return max(end, line(node.position) + 1)
    }

    private mutating func copy(_ range: Range<Int>) {
        for line in lines[range] { output += line }
    }

    /// Writes lines of its own. Without a column the text goes on behind what is written already.
    private mutating func write(_ column: Int?, _ body: (inout YAMLEmitter) -> Void) {
        var emitter = YAMLEmitter()
        if let column {
            if let last = output.last, last != UInt8(ascii: "\n") { output += lineEnd.utf8 }
            emitter.indent(column)
        }
        body(&emitter)
        write(emitter.text)
    }

    private mutating func write(_ text: String) {
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\n") { output += lineEnd.utf8 } else { output.append(byte) }
        }
    }
}
