// swift-tools-version: 6.0

import PackageDescription

// The client is what Tests/Clients/run has generated.
let package = Package(
  name: "Buyer",
  platforms: [.macOS(.v14)],
  dependencies: [.package(name: "OpenAPIClient", path: "../../../.build/clients/swift6")],
  targets: [.executableTarget(name: "Buyer", dependencies: ["OpenAPIClient"], path: ".", sources: ["main.swift"])]
)
