// swift-tools-version: 6.2
import PackageDescription

// Apart from the product's package, which does not depend on SwiftNIO.
let package = Package(
    name: "differential",
    dependencies: [.package(url: "https://github.com/apple/swift-nio", from: "2.100.0")],
    targets: [
        .executableTarget(
            name: "Differential",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            // The codec is the product's own files, by symbolic link; the session is libnghttp2's.
            exclude: ["Codec/HTTP2/HTTP2Library.swift", "Codec/HTTP2/HTTP2Session.swift"],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("MemberImportVisibility")])
    ]
)
