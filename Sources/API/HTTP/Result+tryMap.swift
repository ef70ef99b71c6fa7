extension Result {
  /// What `transform` makes of a success, or the error that it throws.
  func tryMap<Other>(_ transform: (Success) throws -> Other) -> Result<Other, any Error> {
    Result<Other, any Error> { try transform(get()) }
  }
}
