import Addressing
import Logging
package struct Configuration: Sendable {
  package struct Inbound: Sendable { var listenPort: UInt16?; var upstream = UpstreamURL(); var identityHeaders = IdentityHeaderSelection(rawValue: 0); var preserveHost: Bool?; enum P: Sendable { case deny, allow }; var plaintext = P.deny; var preserveSourceIP = false }
  struct UpstreamURL: Sendable { enum S: Sendable { case http, h2c, https }; var scheme = S.http; var host = ""; var port: UInt16 = 0; var basePath = ""; var authority: String { "" } }
  struct Capture: Sendable { var isTransparent = false; var inboundPort: UInt16 = 0; var outboundPort: UInt16 = 0; struct M: Sendable { var value: UInt32 = 0; var mask: UInt32 = 0}; var proxyMark = M(); var proxyUID: UInt32 = 0 }
  struct Outbound: Sendable { enum D: Sendable { case mtls, passthrough, deny }; var unmatched = D.mtls; var mtlsCIDRs: [CIDR] = []; enum V: Sendable { case full, sans([String]), chainOnly }; var verify = V.full }
  struct TLS: Sendable { struct Dirs: Sendable { var server = "", client = "", ca = "" }; var directories = Dirs(); var minimumVersion = TLSVersion.v1_2 }
  enum AccessLog: Sendable { case on, errors, off }
  struct Log: Sendable { var accessLog = AccessLog.on }
  struct Timeouts: Sendable { var handshake = 0, header = 0, idle = 0, connect = 0, response = 0, shutdown = 0 }
  var inbound = Inbound(); var capture = Capture(); var outbound = Outbound(); var tls = TLS(); var log = Log(); var timeouts = Timeouts(); var monitorPort: UInt16?; var workerThreads = 1; var maxConnections = 1; var maxHeaderBytes = 1
}
package final class LogSink: Sendable { func write(_ b: [UInt8]) {}; func start() {}; func flush() {} }
struct AccessLogLine { mutating func append(_ r: borrowing RequestRecord, endedAt: Int64, wallOffset: Int64, to: inout [UInt8]) {}; mutating func append(_ r: borrowing ConnectionRecord, endedAt: Int64, wallOffset: Int64, to: inout [UInt8]) {} }
