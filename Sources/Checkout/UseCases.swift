import Postgres
import ServiceLifecycle

/// The batchers of a server's use cases, on one database.
final class UseCases: Sendable {
  let readProducts: Batcher<ReadProducts>
  let reserveHolds: Batcher<ReserveHold>
  let releaseHolds: Batcher<ReleaseHold>
  let readHolds: Batcher<ReadHold>
  let placeOrders: Batcher<PlaceOrder>
  let readOrders: Batcher<ReadOrder>
  let applyPaymentEvents: Batcher<ApplyPaymentEvent>
  let readGauges: Batcher<ReadGauges>
  let readShop: Batcher<ReadShop>
  let checkReadiness: Batcher<CheckReadiness>
  let findAdmins: Batcher<FindAdmin>
  let admission: Admission
  let holdTimeToLive: Duration

  var all: [any Service & WaitingQueue] {
    [
      readProducts, reserveHolds, releaseHolds, readHolds, placeOrders, readOrders, applyPaymentEvents, readGauges,
      readShop, checkReadiness, findAdmins,
    ]
  }

  /// - Parameter onStockChange: called with a product after the commit of a batch that changed its stock.
  init(
    database: Pool, configuration: Checkout.Configuration, jobs: JobRunner,
    onStockChange: @escaping @Sendable (Int32) -> Void
  ) {
    let admission = Admission(limit: configuration.maximumInFlight)
    self.admission = admission
    holdTimeToLive = configuration.holdTimeToLive
    func observer(_ name: String) -> BatchObserver {
      BatchObserver(name, metrics: configuration.metrics, tracer: configuration.tracer)
    }
    func reading<UseCase>(_ name: String, _ useCase: UseCase) -> Batcher<UseCase> {
      Batcher(useCase, on: database, admission: admission, observer: observer(name))
    }
    /// Batches that change one product run one after the other. Side by side they would wait for the lock on its row.
    let turns = Turns<Int32>()
    func writing<UseCase>(_ name: String, _ useCase: UseCase) -> Batcher<UseCase> where UseCase.Lane == Int32 {
      Batcher(
        useCase, on: database, turns: turns, admission: admission, observer: observer(name),
        onStockChange: onStockChange)
    }
    readProducts = reading("read_products", ReadProducts())
    reserveHolds = writing("reserve_holds", ReserveHold(jobs: jobs, timeToLive: configuration.holdTimeToLive))
    releaseHolds = writing("release_holds", ReleaseHold())
    readHolds = reading("read_holds", ReadHold())
    placeOrders = writing("place_orders", PlaceOrder(jobs: jobs, timeToLive: configuration.orderTimeToLive))
    readOrders = reading("read_orders", ReadOrder())
    applyPaymentEvents = writing(
      "apply_payment_events", ApplyPaymentEvent(refundedAmount: configuration.metrics?.refundedAmount))
    // Monitoring does not count for admission, so it also works when the server is overloaded.
    readGauges = Batcher(ReadGauges(), on: database)
    readShop = Batcher(ReadShop(), on: database)
    checkReadiness = Batcher(CheckReadiness(), on: database)
    // A limit of its own: strangers who try keys must not take the places of buyers.
    findAdmins = Batcher(FindAdmin(), on: database, admission: Admission(limit: FindAdmin.maximumWaiting))
  }
}
