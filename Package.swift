// swift-tools-version: 6.2
import PackageDescription

/// Settings every Swift target shares: the compiler is the style guide.
let lenient: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let strict = lenient + [.strictMemorySafety()]

/// For the data plane, whose objects belong to one thread each: see docs/decisions/0007-exclusivity.md.
let uncheckedInRelease: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

let package = Package(
    name: "sidecar",
    products: [
        .executable(name: "sidecar", targets: ["sidecar"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    ],
    targets: [
        // C: module maps and the few inline shims that Swift cannot import.
        .target(name: "CLinux"),
        .target(
            name: "COpenSSL", dependencies: ["CLinux"],
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .target(name: "CNghttp2", linkerSettings: [.linkedLibrary("nghttp2")]),
        .target(name: "CYaml", linkerSettings: [.linkedLibrary("yaml")]),
        .target(name: "CNetfilter", linkerSettings: [.linkedLibrary("nftnl"), .linkedLibrary("mnl")]),

        // Swift: values, the data plane, the capture rules, the command line.
        .target(name: "Addressing", swiftSettings: strict),
        .target(name: "Files", swiftSettings: strict),
        .target(
            name: "Proxy",
            dependencies: [
                "Addressing", "CLinux", "CNghttp2", "COpenSSL", "Files", "Manifest",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict + uncheckedInRelease),
        .target(name: "NetSetup", dependencies: ["Addressing", "CNetfilter", "Files"], swiftSettings: strict),

        // Swift: Kubernetes objects as values, YAML, and what injection makes of them.
        .target(name: "Manifest", swiftSettings: strict),
        .target(name: "YAML", dependencies: ["Manifest", "CYaml"], swiftSettings: strict),
        .target(name: "Injection", dependencies: ["Manifest", "YAML"], swiftSettings: strict),

        // Swift: certificates made, and the admission webhook.
        .target(name: "CertTool", dependencies: ["Addressing", "COpenSSL"], swiftSettings: strict),
        .target(
            name: "Webhook",
            dependencies: [
                "CertTool", "Files", "Injection", "Manifest", "Proxy",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        .executableTarget(
            name: "sidecar",
            dependencies: [
                "Addressing", "CertTool", "Injection", "Manifest", "NetSetup", "Proxy", "Webhook",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        .testTarget(name: "AddressingTests", dependencies: ["Addressing"], swiftSettings: strict),
        .testTarget(
            name: "ProxyTests", dependencies: ["Proxy", "Addressing", "Files", "CLinux", "COpenSSL"],
            swiftSettings: strict),
        // Exit tests: what their macro expands to is not marked `unsafe`.
        .testTarget(
            name: "SandboxTests",
            dependencies: ["CLinux", "Proxy", .product(name: "Logging", package: "swift-log")], swiftSettings: lenient),
        .testTarget(name: "ManifestTests", dependencies: ["Manifest"], swiftSettings: strict),
        .testTarget(name: "YAMLTests", dependencies: ["YAML", "Manifest"], swiftSettings: strict),
        .testTarget(name: "InjectionTests", dependencies: ["Injection", "Manifest"], swiftSettings: strict),
        .testTarget(name: "CertToolTests", dependencies: ["CertTool", "Addressing", "Proxy"], swiftSettings: strict),
        .testTarget(
            name: "WebhookTests", dependencies: ["Webhook", "CertTool", "Injection", "Manifest", "Proxy"],
            swiftSettings: strict),
        .testTarget(name: "NetSetupTests", dependencies: ["NetSetup", "Addressing"], swiftSettings: strict),
    ]
)
