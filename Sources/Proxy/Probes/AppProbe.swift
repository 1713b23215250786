import Addressing
import Logging

/// A question of Kubernetes to the application, as the pod's manifest has it: is it alive, ready, started?
package struct AppProbe: Sendable, Equatable {
    package enum Action: Sendable, Equatable {
        case http(HTTPQuestion)
        /// A connection, no bytes.
        case tcp(port: UInt16)
        /// grpc.health.v1.Health/Check about a service; the empty name is the server as a whole.
        case grpc(port: UInt16, service: String)
    }

    /// Where the kubelet asks on the monitor port: `/app-health/<container>/<livez|readyz|startupz>`.
    package let path: String
    package let action: Action
    package let timeoutSeconds: Int

    var port: UInt16 {
        switch action {
        case .http(let question): question.port
        case .tcp(let port), .grpc(let port, _): port
        }
    }

    /// For the log: what is asked, without what may hold a token.
    var summary: String {
        switch action {
        case .http(let question):
            "GET \(question.isTLS ? "https" : "http") port \(question.port) \(question.redactedTarget)"
        case .tcp(let port): "tcp port \(port)"
        case .grpc(let port, let service): "grpc port \(port) service \"\(service)\""
        }
    }
}

extension AppProbe {
    func metadata(_ outcome: ProbeOutcome) -> Logger.Metadata {
        ["path": "\(path)", "probe": "\(summary)", "outcome": "\(outcome.sentence)"]
    }
}

/// A GET whose answer tells by its status.
package struct HTTPQuestion: Sendable, Equatable {
    package struct Field: Sendable, Equatable {
        package let name: String
        package let value: String
    }

    package let port: UInt16
    /// HTTPS; the certificate is not verified, as the kubelet does not.
    package let isTLS: Bool
    /// Path and query, in origin-form.
    package let target: String
    package let fields: [Field]

    /// The query may hold a token.
    var redactedTarget: String {
        guard let mark = target.firstIndex(of: "?") else { return target }
        return target[..<mark] + "?" + Redaction.placeholder
    }

    /// The request's bytes, as the kubelet would write them: an empty value of User-Agent or Accept leaves them out.
    ///
    /// - Parameters:
    ///   - authority: for Host, unless the manifest has one.
    ///   - userAgent: unless the manifest has one.
    func request(authority: String, userAgent: String) -> [UInt8] {
        func given(_ name: String) -> String? { fields.first { $0.name.lowercased() == name }?.value }
        var text = "GET \(target) HTTP/1.1\r\nHost: \(given("host") ?? authority)\r\n"
        for (name, usual) in [("User-Agent", userAgent), ("Accept", "*/*")] {
            let value = given(name.lowercased()) ?? usual
            if !value.isEmpty { text += "\(name): \(value)\r\n" }
        }
        for field in fields where !["host", "user-agent", "accept"].contains(field.name.lowercased()) {
            text += "\(field.name): \(field.value)\r\n"
        }
        return Array((text + "Connection: close\r\n\r\n").utf8)
    }
}

/// All probes of APP_PROBES, in the order given.
package struct AppProbes: Sendable, Equatable {
    package let list: [AppProbe]

    package static let none = AppProbes([])

    init(_ list: [AppProbe]) { self.list = list }

    package var isEmpty: Bool { list.isEmpty }

    subscript(path: String) -> AppProbe? { list.first { $0.path == path } }

    func on(_ port: UInt16) -> [AppProbe] { list.filter { $0.port == port } }

    /// As the variable could be set, without what may hold a token.
    var document: String {
        guard !isEmpty else { return "" }
        var json = JSONWriter()
        json.object { json in
            for probe in list {
                json.object(probe.path) { json in
                    probe.action.write(to: &json)
                    json.field("timeoutSeconds", Int64(probe.timeoutSeconds))
                }
            }
        }
        return String(decoding: json.bytes, as: UTF8.self)
    }
}

extension AppProbe.Action {
    fileprivate func write(to json: inout JSONWriter) {
        switch self {
        case .http(let question):
            json.object("httpGet") { json in
                json.field("path", question.redactedTarget)
                json.field("port", Int64(question.port))
                json.field("scheme", question.isTLS ? "HTTPS" : "HTTP")
                guard !question.fields.isEmpty else { return }
                json.array("httpHeaders") { json in
                    for field in question.fields {
                        json.object { json in
                            json.field("name", field.name)
                            json.field("value", Redaction.placeholder)
                        }
                    }
                }
            }
        case .tcp(let port): json.object("tcpSocket") { $0.field("port", Int64(port)) }
        case .grpc(let port, let service):
            json.object("grpc") { json in
                json.field("port", Int64(port))
                json.field("service", service)
            }
        }
    }
}
