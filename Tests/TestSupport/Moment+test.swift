import Time

extension Moment {
  public func duration(to later: Moment) -> Duration { later - self }
}
