import Synchronization

/// Handles that are made when first needed and found again without a lock.
///
/// An open-addressed table whose places are filled once and never emptied: a reader sees a place empty or with the entry
/// that it will have for ever. When two make the same handle at once, both get the one that came first.
package final class HandleTable<Key: Hashable & Sendable, Handle: Sendable>: Sendable {
  // Inlinable, so that the callers' modules have it made to fit their keys: a third of the time.

  @usableFromInline final class Entry: Sendable {
    @usableFromInline let key: Key
    @usableFromInline let handle: Handle

    @usableFromInline init(key: Key, handle: Handle) {
      self.key = key
      self.handle = handle
    }
  }

  @usableFromInline final class Place: Sendable {
    @usableFromInline let entry = AtomicLazyReference<Entry>()
  }

  @usableFromInline let places: [Place]
  @usableFromInline let make: @Sendable (Key) -> Handle

  /// - Parameters:
  ///   - capacity: how many handles are kept. For keys beyond it, a handle is made at each call.
  ///   - make: makes the handle of a key; must give equal handles for equal keys.
  package init(capacity: Int, _ make: @escaping @Sendable (Key) -> Handle) {
    // A power of two, so that the remainder is a mask, and half empty, so that searches are short.
    var size = 2
    while size < capacity * 2 { size *= 2 }
    places = (0..<size).map { _ in Place() }
    self.make = make
  }

  @inlinable package subscript(key: Key) -> Handle {
    let mask = places.count - 1
    var index = key.hashValue & mask
    for _ in places.indices {
      let place = places[index]
      let entry = place.entry.load() ?? place.entry.storeIfNil(Entry(key: key, handle: make(key)))
      if entry.key == key { return entry.handle }
      index = (index + 1) & mask
    }
    return make(key)
  }
}
