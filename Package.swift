// swift-tools-version: 6.2
import PackageDescription

/// Every target is held to the same rules: Swift 6 mode, and no warning left standing.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioFoundation = Target.Dependency.product(name: "NIOFoundationCompat", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

let package = Package(
  name: "flashsale",
  platforms: [.macOS(.v15)],
  products: [.executable(name: "flashsale", targets: ["flashsale"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
  ],
  targets: [
    .executableTarget(
      name: "flashsale",
      dependencies: [
        "API", "Checkout", "LocalPostgres", "Postgres",
        argumentParser, asyncHTTPClient, configuration, logging, serviceLifecycle,
      ],
      swiftSettings: strict),
    .target(
      name: "API",
      dependencies: [
        "Checkout", "Postgres", crypto, httpTypes, hummingbird, logging, nioCore, nioFoundation, serviceLifecycle,
      ],
      swiftSettings: strict),
    .target(
      name: "Checkout",
      dependencies: ["Postgres", crypto, deque, logging, serviceLifecycle],
      swiftSettings: strict,
      plugins: ["EmbedSQLPlugin"]),
    .target(name: "Postgres", dependencies: ["CLibPQ", deque], swiftSettings: strict),
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .target(name: "LocalPostgres", dependencies: [logging, subprocess], swiftSettings: strict),

    // What benchmarks compare with; see Benchmarks/run.
    .executableTarget(name: "echo", dependencies: [hummingbird], path: "Benchmarks/Echo", swiftSettings: strict),

    .target(
      name: "TestSupport",
      dependencies: ["Checkout", "LocalPostgres", "Postgres", asyncHTTPClient, logging, nioCore, nioFoundation],
      path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "PostgresTests", dependencies: ["LocalPostgres", "Postgres", "TestSupport", logging], swiftSettings: strict),
    .testTarget(
      name: "CheckoutTests", dependencies: ["Checkout", "Postgres", "TestSupport", logging], swiftSettings: strict),
    .testTarget(
      name: "APITests",
      dependencies: ["API", "Checkout", "Postgres", "TestSupport", logging, nioCore, nioEmbedded, serviceLifecycle],
      swiftSettings: strict),
    .testTarget(
      name: "LocalPostgresTests", dependencies: ["LocalPostgres", logging, subprocess], swiftSettings: strict),
    .testTarget(
      name: "FlashSaleTests",
      dependencies: [
        "flashsale", "Checkout", "LocalPostgres", "Postgres", "TestSupport",
        asyncHTTPClient, logging, nioCore, nioFoundation, subprocess,
      ],
      swiftSettings: strict),

    // `sql/` travels inside the binary: a build step turns its files into Swift constants.
    .executableTarget(name: "EmbedSQL", swiftSettings: strict),
    .plugin(
      name: "EmbedSQLPlugin", capability: .buildTool(), dependencies: ["EmbedSQL"], path: "Sources/EmbedSQLPlugin"),
  ]
)
