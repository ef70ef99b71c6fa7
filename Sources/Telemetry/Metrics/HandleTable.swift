import Synchronization

/// A hash table of handles, with lock-free reads. The first access to a key makes its handle.
///
/// The table uses open addressing. A place is filled once and never changes after that. If two threads make the same
/// handle at once, both get the one that was stored first.
@usableFromInline package final class HandleTable<Key: Hashable & Sendable, Handle: Sendable>: Sendable {
  // Inlinable, so that other modules specialize it for their keys. It then takes a third of the time.

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
  ///   - capacity: the number of handles that the table certainly stores. If it is full, each access to a new key makes
  ///     a handle.
  ///   - make: makes the handle of a key. Handles of equal keys must be interchangeable.
  package init(capacity: Int, _ make: @escaping @Sendable (Key) -> Handle) {
    // A power of two, so that a mask gives the index. At least twice the capacity, so that searches are short.
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
