import Testing

/// The program as operators and clients meet it: the real executable in processes of its own, spoken to over HTTP.
///
/// Many of these tests wait for times to live. `make test` runs three of them at once, after all other tests.
@Suite(.timeLimit(.minutes(2))) struct FlashSaleTests {}
