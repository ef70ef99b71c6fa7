// swift-tools-version: 6.0

import PackageDescription

// Tests/Clients/run generates the package OpenAPIClient.
let package = Package(
  name: "Buyer",
  platforms: [.macOS(.v14)],
  dependencies: [.package(name: "OpenAPIClient", path: "../../../.build/clients/swift6")],
  targets: [.executableTarget(name: "Buyer", dependencies: ["OpenAPIClient"], path: ".", sources: ["main.swift"])]
)
