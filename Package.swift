// swift-tools-version: 6.2
import PackageDescription

/// All targets use Swift 6 mode, and warnings are errors.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioFoundation = Target.Dependency.product(name: "NIOFoundationCompat", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "flashsale",
  products: [.executable(name: "flashsale", targets: ["flashsale"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
  ],
  targets: [
    .executableTarget(
      name: "flashsale",
      dependencies: [
        "API", "Checkout", "EventWebhooks", "LocalPostgres", "Postgres", "Rehearsal", "Secrets", "StandardWebhooks",
        "Telemetry", "Time",
        argumentParser, asyncHTTPClient, configuration, coreMetrics, logging, nioCore, serviceLifecycle, tracing,
        unixSignals,
      ],
      swiftSettings: strict),
    .target(
      name: "API",
      dependencies: [
        "Addresses", "Checkout", "EventWebhooks", "Secrets", "StandardWebhooks", "Telemetry", "Time",
        coreMetrics, crypto, deque, hummingbirdCore, logging, nioCore, nioHTTP1, nioPosix, serviceLifecycle, tracing,
      ],
      resources: [.embedInCode("OpenAPI/openapi.yaml")],
      swiftSettings: strict,
      plugins: ["EmbedFilesPlugin"]),
    .target(
      name: "Checkout",
      dependencies: [
        "Postgres", "Secrets", "Telemetry", "Time", coreMetrics, crypto, deque, logging, serviceLifecycle, tracing,
      ],
      swiftSettings: strict,
      plugins: ["EmbedFilesPlugin"]),
    .target(
      name: "EventWebhooks",
      dependencies: [
        "Addresses", "Checkout", "Secrets", "StandardWebhooks", "Telemetry", "Time",
        asyncHTTPClient, coreMetrics, deque, logging, nioCore, nioHTTP1, nioPosix, nioSSL, serviceLifecycle,
      ],
      swiftSettings: strict),
    .target(name: "StandardWebhooks", dependencies: ["Secrets", crypto], swiftSettings: strict),
    .target(name: "Addresses", dependencies: [nioCore], swiftSettings: strict),
    .target(name: "Postgres", dependencies: ["CLibPQ", "Secrets", "Time", deque], swiftSettings: strict),
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .target(
      name: "Telemetry",
      dependencies: ["Secrets", "Time", asyncHTTPClient, coreMetrics, logging, nioCore, serviceLifecycle, tracing],
      swiftSettings: strict),
    .target(name: "Secrets", swiftSettings: strict),
    .target(name: "Time", swiftSettings: strict),
    .target(name: "LocalPostgres", dependencies: [logging, subprocess], swiftSettings: strict),
    .target(
      name: "Rehearsal",
      dependencies: [
        "API", "Secrets", "StandardWebhooks", "Telemetry", "Time", deque, nioCore, nioHTTP1, nioPosix, subprocess,
      ],
      swiftSettings: strict),

    // The baseline of the benchmarks; see Benchmarks/run.
    .executableTarget(name: "echo", dependencies: [hummingbird], path: "Benchmarks/Echo", swiftSettings: strict),

    .target(
      name: "TestSupport",
      dependencies: [
        "Checkout", "LocalPostgres", "Postgres", "Rehearsal", "Time",
        asyncHTTPClient, crypto, hummingbird, logging, nioCore, nioHTTP1, nioPosix, nioSSL, subprocess,
      ],
      path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "PostgresTests", dependencies: ["LocalPostgres", "Postgres", "Secrets", "TestSupport", "Time", logging],
      swiftSettings: strict),
    .testTarget(
      name: "CheckoutTests",
      dependencies: ["Checkout", "LocalPostgres", "Postgres", "Secrets", "TestSupport", "Time", logging],
      swiftSettings: strict),
    .testTarget(
      name: "EventWebhooksTests",
      dependencies: [
        "Addresses", "Checkout", "EventWebhooks", "Postgres", "Secrets", "StandardWebhooks", "Telemetry", "TestSupport",
        "Time",
        crypto, logging, nioCore, nioHTTP1, nioPosix, nioSSL, serviceLifecycle,
      ],
      swiftSettings: strict),
    .testTarget(
      name: "StandardWebhooksTests", dependencies: ["Secrets", "StandardWebhooks", crypto], swiftSettings: strict),
    .testTarget(name: "SecretsTests", dependencies: ["Secrets"], swiftSettings: strict),
    .testTarget(
      name: "APITests",
      dependencies: [
        "Addresses", "API", "Checkout", "Postgres", "Secrets", "StandardWebhooks", "Telemetry", "TestSupport", "Time",
        crypto, logging, nioCore, nioEmbedded, nioHTTP1, nioPosix, serviceLifecycle, yams,
      ],
      swiftSettings: strict),
    .testTarget(name: "APIReferenceTests", dependencies: ["API", "APIReference", yams], swiftSettings: strict),
    .testTarget(
      name: "LocalPostgresTests", dependencies: ["LocalPostgres", logging, subprocess], swiftSettings: strict),
    .testTarget(
      name: "RehearsalTests",
      dependencies: ["API", "Rehearsal", "Secrets", nioCore, nioEmbedded, nioHTTP1, nioPosix],
      swiftSettings: strict),
    .testTarget(
      name: "TelemetryTests",
      dependencies: [
        "Secrets", "Telemetry", "TestSupport", "Time", coreMetrics, logging, nioCore, serviceLifecycle, tracing,
      ],
      swiftSettings: strict),
    .testTarget(
      name: "FlashSaleTests",
      dependencies: [
        "API", "flashsale", "Checkout", "LocalPostgres", "Postgres", "StandardWebhooks", "TestSupport", "Time",
        asyncHTTPClient, logging, nioCore, nioFoundation, nioPosix, subprocess, yams,
      ],
      swiftSettings: strict),

    // The binary contains `sql/`, `Sources/Pages/` and the page of the OpenAPI document: a build step turns these files into
    // Swift constants. APIReference makes the page in that step, so the server needs no YAML.
    .executableTarget(name: "EmbedFiles", dependencies: ["APIReference"], swiftSettings: strict),
    .target(name: "APIReference", dependencies: [yams], swiftSettings: strict),
    .plugin(
      name: "EmbedFilesPlugin", capability: .buildTool(), dependencies: ["EmbedFiles"],
      path: "Sources/EmbedFilesPlugin"),
  ]
)
