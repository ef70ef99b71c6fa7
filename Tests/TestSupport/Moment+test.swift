import Time

extension Moment {
  package func duration(to later: Moment) -> Duration { later - self }
}
