/// Writes metrics in Prometheus' text format 0.0.4: families, each with its help and type, and their samples.
package struct MetricsText {
    package private(set) var bytes: [UInt8] = []
    private var family: StaticString = ""

    package init() {}

    package enum Kind {
        case counter, gauge, histogram

        fileprivate var name: StaticString {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    /// A label's name and its value, which is the proxy's own and needs no escape.
    package typealias Label = (name: StaticString, value: String)

    package mutating func begin(_ name: StaticString, _ kind: Kind, _ help: StaticString) {
        family = name
        raw("# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind.name, "\n")
    }

    package mutating func sample(_ value: UInt64, _ labels: Label...) {
        head("", labels)
        bytes.append(contentsOf: "\(value)\n".utf8)
    }

    package mutating func sample(_ value: Int64, _ labels: Label...) {
        head("", labels)
        bytes.append(contentsOf: "\(value)\n".utf8)
    }

    /// A value that is no whole number.
    mutating func sample(microseconds: UInt64, _ labels: Label...) {
        head("", labels)
        seconds(microseconds)
        bytes.append(0x0a)
    }

    package mutating func histogram(_ histogram: Histogram, _ labels: Label...) {
        var sum: UInt64 = 0
        for index in histogram.buckets.indices {
            sum += histogram.buckets[index]
            var bound: [UInt8] = Array("+Inf".utf8)
            if index < Histogram.bounds.count {
                var text = MetricsText()
                text.seconds(UInt64(Histogram.bounds[index]))
                bound = text.bytes
            }
            head("_bucket", labels + [("le", String(decoding: bound, as: UTF8.self))])
            bytes.append(contentsOf: "\(sum)\n".utf8)
        }
        head("_sum", labels)
        seconds(histogram.microseconds)
        bytes.append(0x0a)
        head("_count", labels)
        bytes.append(contentsOf: "\(sum)\n".utf8)
    }

    private mutating func head(_ suffix: StaticString, _ labels: [Label]) {
        raw(family, suffix)
        if !labels.isEmpty {
            for (index, label) in labels.enumerated() {
                raw(index == 0 ? "{" : ",", label.name, "=\"")
                bytes.append(contentsOf: label.value.utf8)
                raw("\"")
            }
            raw("}")
        }
        raw(" ")
    }

    /// `0.0025`
    private mutating func seconds(_ microseconds: UInt64) {
        bytes.append(contentsOf: "\(microseconds / 1_000_000)".utf8)
        var rest = microseconds % 1_000_000
        guard rest > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        var unit: UInt64 = 100_000
        while rest > 0 {
            bytes.append(UInt8(rest / unit) + 0x30)
            rest %= unit
            unit /= 10
        }
    }

    private mutating func raw(_ pieces: StaticString...) {
        for piece in pieces { JSONText.appendRaw(piece, to: &bytes) }
    }
}
