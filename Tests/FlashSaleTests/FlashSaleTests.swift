import Testing

/// The program as operators and clients meet it: the real executable in processes of its own, spoken to over HTTP.
///
/// Serialized, since most of these tests mind the time and would take it from each other.
@Suite(.serialized, .timeLimit(.minutes(2))) struct FlashSaleTests {}
