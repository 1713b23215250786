import Foundation

/// Holds the HTTP/1.1 codec against llhttp: on the files and folders that are named, on the examples of all known
/// differences, and on generated connections.
///
/// `DIFFERENTIAL_CASES` says how many are generated, `DIFFERENTIAL_SEED` from which seed.
@main struct Main {
    static func main() throws {
        let environment = ProcessInfo.processInfo.environment
        let count = environment["DIFFERENTIAL_CASES"].flatMap { Int($0) } ?? 60_000
        let seed = environment["DIFFERENTIAL_SEED"].flatMap { UInt64($0) } ?? 1
        var report = Report()
        for path in CommandLine.arguments.dropFirst() {
            for (name, bytes) in try files(path) {
                for side in sides(of: bytes) { try report.run(side, name: name) }
            }
        }
        try report.runExamples()
        var generator = Generator(seed: seed)
        for number in 0..<count { try report.run(generator.next(), name: "generated \(number) from seed \(seed)") }
        report.finish()
        exit(report.failed == 0 ? 0 : 1)
    }

    private static func files(_ path: String) throws -> [(String, [UInt8])] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: path])
        }
        let paths =
            isFolder.boolValue
            ? try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { "\(path)/\($0)" } : [path]
        return try paths.map { ($0, [UInt8](try Data(contentsOf: URL(fileURLWithPath: $0)))) }
    }

    /// A file of bytes off the wire, or one of the fuzz target, which has two bytes of its own before them.
    private static func sides(of bytes: [UInt8]) -> [Case] {
        [bytes, Array(bytes.dropFirst(2))].flatMap { bytes in
            [
                Case(side: .requests, bytes: bytes), Case(side: .responses(["GET"]), bytes: bytes),
                Case(side: .responses(["HEAD"]), bytes: bytes), .chunks(bytes),
            ]
        }
    }
}
