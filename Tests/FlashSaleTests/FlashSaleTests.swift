import Testing

/// Tests of the built executable. It runs in processes of its own, and the tests call it over HTTP.
///
/// Serialized, because most of these tests depend on time, and would delay each other.
@Suite(.serialized, .timeLimit(.minutes(2))) struct FlashSaleTests {}
