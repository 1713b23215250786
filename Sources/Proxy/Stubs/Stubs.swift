import Addressing
import Logging
package struct Credentials: Sendable { struct L: Sendable { var uriNames: [String] = [] }; var leaf = L() }
struct CertificateSummary { var subject = "" }
package struct TrustAnchors: Sendable {}
package struct TLSMaterial: Sendable { var server: Credentials?; var client: Credentials? }
enum TLSVersion { case v1_2, v1_3
  init(_ c: Configuration.TLS.Minimum) { self = .v1_2 } }
final class TLSContext {
  static func server(_ m: TLSMaterial, minimumVersion: TLSVersion, alpn: [String]) throws(TLSConfigurationError) -> TLSContext { TLSContext() }
  static func client(_ m: TLSMaterial, minimumVersion: TLSVersion, alpn: [String]) throws(TLSConfigurationError) -> TLSContext { TLSContext() }
}
struct TLSConfigurationError: Error {}
enum ALPN { case http1, h2, other }
final class TLSResumption {}
final class PeerIdentity { var logName: [UInt8] { [] } }
struct TLSError: Error { var detail: String { "" } }
enum ServerName { case dns(String), address(IPAddress) }
enum ServerVerification { case full(ServerName), sans([String], sni: String?), chainOnly(sni: String?) }
struct TLSSession: ~Copyable {
  init(serverSide context: TLSContext, descriptor: CInt) throws(TLSError) {}
  init(clientSide context: TLSContext, descriptor: CInt, verify: ServerVerification, resuming: TLSResumption?) throws(TLSError) {}
  enum HandshakeOutcome { case done, wantsRead, wantsWrite, failed(TLSError) }
  enum IOOutcome { case bytes(Int), wantsRead, wantsWrite, end, failed(TLSError) }
  mutating func handshake() -> HandshakeOutcome { .done }
  mutating func read(into: inout [UInt8]) -> IOOutcome { .end }
  mutating func write(_ bytes: Span<UInt8>) -> IOOutcome { .end }
  var hasPending: Bool { false }
  mutating func sendCloseNotify() {}
  var negotiatedALPN: ALPN? { nil }
  var isResumed: Bool { false }
  var serverName: String? { nil }
  func peerIdentity() -> PeerIdentity? { nil }
  func resumption() -> TLSResumption? { nil }
}
package struct IdentityHeaderSelection: OptionSet, Sendable { package let rawValue: UInt8; package init(rawValue: UInt8) { self.rawValue = rawValue } }
enum IdentityHeaders { static func render(_ i: PeerIdentity, selection: IdentityHeaderSelection, serverURI: String?) -> [UInt8] { [] } }
package struct CertificateDirectories { var server, client, ca: String }
package struct CertificateProblems: Error { var sentences: [String] }
package enum CertificateLoader { static func load(_ d: CertificateDirectories, needsServer: Bool, needsClient: Bool) throws(CertificateProblems) -> TLSMaterial { TLSMaterial() } }

package struct Configuration: Sendable {
  package struct Inbound: Sendable { var listenPort: UInt16?; var upstream = UpstreamURL(); var identityHeaders = IdentityHeaderSelection(rawValue: 0); var preserveHost: Bool?; enum P: Sendable { case deny, allow }; var plaintext = P.deny; var preserveSourceIP = false }
  struct UpstreamURL: Sendable { enum S: Sendable { case http, h2c, https }; var scheme = S.http; var host = ""; var port: UInt16 = 0; var basePath = ""; var authority: String { "" } }
  struct Capture: Sendable { var isTransparent = false; var inboundPort: UInt16 = 0; var outboundPort: UInt16 = 0; struct M: Sendable { var value: UInt32 = 0; var mask: UInt32 = 0}; var proxyMark = M(); var proxyUID: UInt32 = 0 }
  struct Outbound: Sendable { enum D: Sendable { case mtls, passthrough, deny }; var unmatched = D.mtls; var mtlsCIDRs: [CIDR] = []; enum V: Sendable { case full, sans([String]), chainOnly }; var verify = V.full }
  struct TLS: Sendable { struct Dirs: Sendable { var server = "", client = "", ca = "" }; var directories = Dirs(); enum Minimum: Sendable { case v1_2, v1_3 }; var minimumVersion = Minimum.v1_2 }
  enum AccessLog: Sendable { case on, errors, off }
  struct Log: Sendable { var accessLog = AccessLog.on }
  struct Timeouts: Sendable { var handshake = 0, header = 0, idle = 0, connect = 0, response = 0, shutdown = 0 }
  var inbound = Inbound(); var capture = Capture(); var outbound = Outbound(); var tls = TLS(); var log = Log(); var timeouts = Timeouts(); var monitorPort: UInt16?; var workerThreads = 1; var maxConnections = 1; var maxHeaderBytes = 1
}
package final class LogSink: Sendable { func write(_ b: [UInt8]) {}; func start() {}; func flush() {} }
struct AccessLogLine { mutating func append(_ r: borrowing RequestRecord, endedAt: Int64, wallOffset: Int64, to: inout [UInt8]) {}; mutating func append(_ r: borrowing ConnectionRecord, endedAt: Int64, wallOffset: Int64, to: inout [UInt8]) {} }
