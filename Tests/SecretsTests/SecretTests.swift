import Secrets
import Testing

@Suite struct SecretTests {
  private static let mark = "hunter2"

  private struct Settings {
    let name = "shop"
    let password: Secret? = Secret(SecretTests.mark)
    let keys = ["a": Secret(SecretTests.mark)]
  }

  private static func dumped(_ value: some Any) -> String {
    var text = ""
    dump(value, to: &text)
    return text
  }

  @Test func `a secret is printed as stars`() {
    let secret = Secret(Self.mark)
    for text in ["\(secret)", String(describing: secret), String(reflecting: secret)] { #expect(text == "***") }
    #expect(!Self.dumped(secret).contains(Self.mark))
    #expect(secret.revealed() == Self.mark)
  }

  @Test func `a value that contains a secret is printed without it`() {
    let settings = Settings()
    for text in ["\(settings)", String(reflecting: settings), Self.dumped(settings), "\([settings])"] {
      #expect(text.contains("shop") && !text.contains(Self.mark), "\(text)")
    }
  }
}
