import FoundationEssentials
import Testing

@testable import Checkout

@Suite struct ReservationIDTests {
  @Test func `an id contains its product and is a UUID of version 8`() {
    for productID in [1, 7, 0x1234_5678, Int32.max] {
      let id = ReservationID(productID: productID, unixSecond: 0x89AB_CDEF, random: .max)
      #expect(id.productID == productID)
      let bytes = withUnsafeBytes(of: id.uuid.uuid) { Array($0) }
      #expect(bytes[6] >> 4 == 8)
      #expect(bytes[8] >> 6 == 0b10)
      #expect(ReservationID(id.uuid) == id)
    }
  }

  @Test func `the ids of a hold and its order have the same digits`() {
    let id = ReservationID(productID: 0x16, unixSecond: 0x89AB_CDEF, random: 0x0123_4567_89AB_CDEF)
    #expect(id.holdText == "hold_00000016" + "89ab8cdebd23456789abcdef")
    #expect(id.orderText == id.holdText.replacing("hold", with: "order"))
    #expect(ReservationID(holdText: id.holdText) == id)
    #expect(ReservationID(orderText: id.orderText) == id)
  }

  @Test func `later ids of a product sort later`() {
    let earlier = ReservationID(productID: 1, unixSecond: 0x0000_FFFF, random: .max)
    let later = ReservationID(productID: 1, unixSecond: 0x0001_0000, random: 0)
    #expect(earlier.holdText < later.holdText)
  }

  @Test(arguments: [
    "", "hold_", "order_000000018 9ab8cdebd23456789abcdef", "hold_0000001689ab8cdebd23456789abcde",
    "hold_0000001689ab8cdebd23456789abcdef0", "hold_0000001689AB8CDEBD23456789ABCDEF",
    "hold_0000001689ab4cdebd23456789abcdef", "hold_0000001689ab8cdefd23456789abcdef",
    "hold_0000000089ab8cdebd23456789abcdef", "hold_8000001689ab8cdebd23456789abcdef",
    "order_0000001689ab8cdebd23456789abcdef", "HOLD_0000001689ab8cdebd23456789abcdef",
    "hold_0000001689ab8cdebd23456789abcdeg", "hold_00000016-89ab-8cde-bd23-456789abcdef",
  ])
  func `a text that is not a hold id is refused`(text: String) {
    #expect(ReservationID(holdText: text) == nil)
  }

  @Test func `generated ids do not repeat`() async {
    let generator = ReservationIDGenerator()
    let all = await withTaskGroup(of: [ReservationID].self) { group in
      for _ in 0..<8 { group.addTask { (0..<2000).map { _ in generator.next(productID: 5) } } }
      return await group.reduce(into: Set<ReservationID>()) { $0.formUnion($1) }
    }
    #expect(all.count == 16_000)
  }
}
