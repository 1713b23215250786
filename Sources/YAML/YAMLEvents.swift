import CYaml

/// libyaml's events, as values. This file is where C is called.
@safe struct YAMLEvents: ~Copyable {
    struct Event {
        enum Kind {
            case document, documentEnd, streamEnd
            case alias(String)
            case scalar(String, isPlain: Bool)
            case sequence, sequenceEnd, mapping, mappingEnd
        }

        let kind: Kind
        let anchor: String?
        let tag: String?
        let isFlow: Bool
        let position: YAMLPosition
        let end: YAMLPosition
    }

    private let raw: OpaquePointer
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    /// Lines before these bytes, in the text that they are part of.
    private let precedingLines: Int

    /// Takes a copy of UTF-8 bytes.
    init(_ source: ArraySlice<UInt8>, precedingLines: Int) throws(YAMLError) {
        let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: source.count)
        _ = unsafe bytes.initialize(from: source)
        guard let raw = unsafe yaml_events_new(bytes.baseAddress, bytes.count) else {
            unsafe bytes.deallocate()
            throw YAMLError("there is no memory to read it", at: YAMLPosition(line: precedingLines + 1, column: 1))
        }
        unsafe self.raw = raw
        unsafe self.bytes = bytes
        self.precedingLines = precedingLines
    }

    deinit {
        unsafe yaml_events_free(raw)
        unsafe bytes.deallocate()
    }

    func next() throws(YAMLError) -> Event {
        var view = unsafe yaml_event_view()
        unsafe yaml_events_next(raw, &view)
        let start = position(unsafe view.line, unsafe view.column)
        let end = position(unsafe view.end_line, unsafe view.end_column)
        let kind: Event.Kind
        switch Int(unsafe view.kind) {
        case YE_DOCUMENT: kind = .document
        case YE_DOCUMENT_END: kind = .documentEnd
        case YE_ALIAS: kind = .alias(unsafe text(of: view))
        case YE_SCALAR: kind = .scalar(unsafe text(of: view), isPlain: unsafe view.is_plain != 0)
        case YE_SEQUENCE: kind = .sequence
        case YE_SEQUENCE_END: kind = .sequenceEnd
        case YE_MAPPING: kind = .mapping
        case YE_MAPPING_END: kind = .mappingEnd
        case YE_ERROR: throw YAMLError(unsafe text(of: view), at: start)
        case YE_NO_MEMORY: throw YAMLError("there is no memory to read it", at: start)
        case _: kind = .streamEnd
        }
        return Event(
            kind: kind, anchor: unsafe view.anchor.map { unsafe String(cString: $0) },
            tag: unsafe view.tag.map { unsafe String(cString: $0) }, isFlow: unsafe view.is_flow != 0,
            position: start, end: end)
    }

    private func position(_ line: Int, _ column: Int) -> YAMLPosition {
        YAMLPosition(line: precedingLines + line + 1, column: column + 1)
    }

    private func text(of view: yaml_event_view) -> String {
        guard let start = unsafe view.text else { return "" }
        let buffer = unsafe UnsafeBufferPointer(start: start, count: view.length)
        return unsafe String(decoding: UnsafeRawBufferPointer(buffer), as: UTF8.self)
    }
}
