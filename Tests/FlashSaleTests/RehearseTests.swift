import Foundation
import Subprocess
import TestSupport
import Testing

extension FlashSaleTests {
  @Suite struct RehearseTests {
    private static let token = ["ADMIN_TOKEN": ServerProcess.adminToken]
    private static let secret = "whsec_" + Data("a secret of the rehearsal".utf8).base64EncodedString()

    private static func arguments(_ server: ServerProcess, _ more: String...) -> [String] {
      [
        "rehearse", "--url", server.url, "--buyers", "150", "--stock", "60", "--seconds", "2", "--early", "0.1",
        "--late", "0.1", "--fail", "0.2", "--seed", "7",
      ] + more
    }

    @Test(.database) func `a rehearsal sells its product, finds no violation, and writes a report`() async throws {
      // Orders expire during the run, so late payments are played, too.
      let settings = ["ORDER_TTL_SECONDS": "3", "HOLD_TTL_SECONDS": "5", "WEBHOOK_SECRETS": Self.secret]
      try await withServers(1, on: TestDatabase.url, settings: settings, arguments: []) { servers in
        try await withWorkingDirectory { directory in
          let result = try await flashsale(
            Self.arguments(servers[0], "--report", "report.html"),
            settings: Self.token.merging(["WEBHOOK_SECRETS": Self.secret]) { $1 }, directory: directory)
          #expect(result.status == .exited(0), "\(result)")
          #expect(result.output.last == "All 9 checks hold.", "\(result)")
          let page = try String(contentsOfFile: directory + "/report.html", encoding: .utf8)
          #expect(page.hasPrefix("<!DOCTYPE html>") && page.contains("All 9 checks hold."))
        }
        let products = try await withPool(on: TestDatabase.url) { database in
          try await database.integer("select count(*) from products where total_stock = 60 and is_paused")
        }
        #expect(products == 1)
        try await expectCleanAudit(TestDatabase.url)
      }
    }

    @Test(.database) func `the server is killed, and nothing is lost`() async throws {
      try await withServers(2, on: TestDatabase.url) { servers in
        // The first server is played with. It is started again on its port.
        let server = servers[0]
        async let run = flashsale(
          Self.arguments(server, "--json", "--arrival", "poisson", "--seconds", "4"), settings: Self.token)
        try await Task.sleep(for: .seconds(2))
        try await server.end(with: .kill)
        try await server.start()
        let result = try await run
        #expect(result.status == .exited(0), "\(result.errors)")
      }
    }

    @Test(.database) func `Ctrl-C ends a rehearsal with a report and a paused product`() async throws {
      try await withServers(1, on: TestDatabase.url) { servers in
        let rehearsal = ChildProcess(
          Self.arguments(servers[0], "--seconds", "300", "--arrival", "poisson"), settings: Self.token)
        try await eventually("it has started") { rehearsal.output.contains("150 buyers") }
        rehearsal.send(.interrupt)
        #expect(try await rehearsal.status == .exited(1), "\(rehearsal.output)")
        #expect(rehearsal.output.contains("The run was interrupted."), "\(rehearsal.output)")
        let paused = try await withPool(on: TestDatabase.url) { database in
          try await database.integer("select count(*) from products where is_paused")
        }
        #expect(paused == 1)
      }
    }

    @Test(.database) func `without the server's secrets a rehearsal fails, and says why`() async throws {
      let settings = ["WEBHOOK_SECRETS": Self.secret]
      try await withServers(1, on: TestDatabase.url, settings: settings, arguments: []) { servers in
        let unsigned = try await flashsale(Self.arguments(servers[0], "--wait", "0"), settings: Self.token)
        #expect(unsigned.status == .exited(1), "\(unsigned)")
        #expect(unsigned.output.contains { $0.contains("WEBHOOK_SECRETS are not the server's") }, "\(unsigned)")
        try await flashsale(Self.arguments(servers[0])).expectFailure(saying: "ADMIN_TOKEN is not set")
        try await flashsale(Self.arguments(servers[0]), settings: ["ADMIN_TOKEN": "another-admin-token"])
          .expectFailure(saying: "ADMIN_TOKEN is not the server's")
      }
    }

    @Test(arguments: [
      ["--url", "http://shop.example"], ["--url", "https://127.0.0.1"], ["--buyers", "0"], ["--abandon", "1.5"],
      ["--abandon", "0.9", "--fail", "0.2"], ["--arrival", "flood"], ["--kill-every", "0"], ["--duplicates", "21"],
    ])
    func `wrong usage of a rehearsal ends with exit code 64`(_ arguments: [String]) async throws {
      try await flashsale(["rehearse"] + arguments, settings: Self.token).expectUsageError()
    }
  }
}
