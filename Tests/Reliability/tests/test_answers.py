"""Each response was true at some moment of its call, in one order for all clients. Run with: python3 -m unittest."""

import unittest
from collections.abc import Iterable
from typing import Any

from .story import (
    HOLD, HOLD_TTL, ORDER, ORDER_TTL, PAID, ZERO, Story, StoryTests, event, hold, order, problem, take, text)

GRANTED = {"hold_id": HOLD, "product_id": 1, "quantity": 1, "status": "active", "expires_at": text(HOLD_TTL)}
NEVER_SO = "it was never so"
UNKNOWN = problem("outcome-unknown")


def paid() -> Story:
    return Story().holds(0).places(1).pays(2, "p", "applied", "paid", PAID)


def refused_for_stock(story: Story, start: float, end: float, wanted: int, available: int, held: int,
                      release: float | None) -> Story:
    return story.asks_hold(start, end, wanted, None, 409, problem(
        "insufficient-stock", available_stock=available, held_stock=held,
        next_release_at=None if release is None else text(release)), retry_after=None if release is None else 1)


class StockTests(StoryTests):
    def test_reads(self) -> None:
        def unacknowledged(first: int, second: int) -> Story:
            """Two reads one after the other, of a hold that no response tells of."""
            story = Story().holds(0, quantity=2).without_calls().killed(0)
            story.call("hold", -0.01, 3, {"product_id": 1, "quantity": 2}, 503, UNKNOWN)
            return story.reads(0.01, 0.02, first).reads(0.03, 0.04, second)

        def listed(available: int) -> Story:
            story = Story().holds(0).reads(0.1, 0.2, available)
            story.calls[-1].operation, story.calls[-1].product = "products", 0
            story.calls[-1].answer = {"products": [story.calls[-1].answer]}
            return story

        def being_ordered(visible: float) -> Story:
            """A hold that lapses before its order is visible. Another hold commits later and is visible sooner."""
            story = Story().holds(0).places(1.98)
            story.calls[-1].end += visible - 1.99
            return story.holds(2.1, "hold_b").reads(2.15, 2.2, 4)

        lapsed = Story().holds(0, quantity=3).reads(1, 1.1, 2).reads(HOLD_TTL + 0.1, HOLD_TTL + 0.2, 5)
        self.judge([
            ("a read sees what was taken before it", Story().holds(0).reads(0.1, 0.2, 4)),
            ("a read does not see what was taken before it", Story().holds(0).reads(0.1, 0.2, 4).reads(0.3, 0.4, 5),
             "product was answered 200: it was never so"),
            ("a read comes before what overlaps it", Story().holds(0, quantity=2).reads(-0.005, 0.005, 5)),
            ("a read comes after what overlaps it", Story().holds(0, quantity=2).reads(-0.005, 0.005, 3)),
            ("a read sees half of what overlaps it", Story().holds(0, quantity=2).reads(-0.005, 0.005, 4), NEVER_SO),
            ("two reads come before and after a hold", unacknowledged(5, 3)),
            ("two reads go back", unacknowledged(3, 5), NEVER_SO),
            ("a list of products is judged like a product", listed(4)),
            ("a list of products is wrong", listed(5), "products was answered 200"),
            ("more is taken than there is", Story(stock=1).holds(0).holds(1, "hold_b"), "not conserved"),
            ("a hold that lapses comes back at once", lapsed),
            ("a hold may read as lapsed while its order is being committed", being_ordered(2.3)),
            ("a hold reads as lapsed after its order was committed", being_ordered(1.99), NEVER_SO),
            *((f"the product of an order that expires at {1 + ORDER_TTL} has {available} units at {start}",
               Story().holds(0, quantity=2).places(1, quantity=2).expires(1 + ORDER_TTL + 0.2, quantity=2)
               .commit(1 + ORDER_TTL + 0.3, take(0)).reads(start, start + 0.01, available), *words)
              for start, available, words in ((3, 3, ()), (4.6, 5, ()), (4.6, 3, [NEVER_SO]), (3, 5, [NEVER_SO]))),
            ("a late success takes the units again", Story().holds(0, quantity=2).places(1, quantity=2).pays(
                2, "f", "applied", "cancelled", order(status="cancelled"), take(-2), status="failed").reads(2.5, 2.6, 5)
             .pays(3, "s", "reacquired", "paid", PAID, take(2)).reads(3.5, 3.6, 3)),
        ])
        self.judge([("a hold that has lapsed takes its units again",
                     lapsed.reads(HOLD_TTL + 0.3, HOLD_TTL + 0.4, 2), NEVER_SO)])

    def test_units_are_given_back_once(self) -> None:
        released = Story().holds(0, quantity=3).commit(1, hold(status="released"), take(-3))
        for start in (0.95, 1.5):
            released.call("release", start, start + 0.1, {"hold_id": HOLD}, 200, {"status": "released"})
        failed = Story().holds(0, quantity=2).places(1, quantity=2).pays(
            2, "p", "applied", "cancelled", order(status="cancelled"), take(-2), status="failed").reads(2.5, 2.6, 5)
        self.judge([("a release gives units back", released.reads(2, 2.1, 5)), ("a failed payment does, too", failed)])
        self.judge([("a release seems to give units back twice", released.reads(2.2, 2.3, 8), NEVER_SO),
                    ("a failed payment gives units back twice", failed.commit(3, take(-2)), "not conserved")])
        self.judge([("a release gives units back twice", released.commit(3, take(-3)), "not conserved")])

    def test_status_of_a_product_says_whether_units_may_come_back(self) -> None:
        self.judge([
            (f"a product is {status}",
             Story(stock=1, **window).holds(0).reads(0.1, 0.2, 0, status, total_stock=1), *words)
            for status, window, words in (
                ("reserved_out", {}, ()), ("sold_out", {}, ["product was answered 200"]),
                ("on_sale", {}, ["product was answered 200"]), ("ended", {"ends_at": 0.05}, ()),
                ("upcoming", {"ends_at": 0.05}, ["product was answered 200"]))])


class RefusalTests(StoryTests):
    def test_refusals_have_to_be_true(self) -> None:
        never_so = ["insufficient-stock: it was never so"]

        def asked(quantity: int, customer: str | None, slug: str, story: Story, at: float = 0.1,
                  **members: Any) -> Story:
            status = 422 if slug == "validation" else 409
            return story.asks_hold(at, at + 0.1, quantity, customer, status, problem(slug, **members))

        def ended(at: float) -> Story:
            return asked(1, None, "sale-ended", Story(ends_at=1.0), at, ends_at=text(1.0))

        def too_many(most: int) -> Story:
            return asked(2, None, "validation", Story(max_quantity_per_hold=most), errors=[{"pointer": "/quantity"}])

        def limited(story: Story) -> Story:
            return asked(1, "c", "customer-limit-reached", story, max_per_customer=1)

        def overtaken(held: int, release: float) -> Story:
            """An order commits between the look and the commit of a refusal."""
            story = Story(stock=3).holds(0).places(1.05).holds(1.1, "hold_b", 2, locked=1.02)
            return refused_for_stock(story, 1.01, 1.12, 1, 0, held, release)

        self.judge([
            *((f"{available} units, {held} held and the next at {release} are told at {start}",
               refused_for_stock(Story(stock=1).holds(0), start, start + 0.1, 2, available, held, release), *words)
              for available, held, release, start, words in (
                (0, 1, HOLD_TTL, 0.1, ()), (1, 0, None, 2.1, ()), (1, 0, None, 0.1, never_so),
                (0, 1, HOLD_TTL, 2.1, never_so), (0, 0, HOLD_TTL, 0.1, never_so), (0, 1, None, 0.1, never_so),
                (0, 1, HOLD_TTL + 0.1, 0.1, never_so))),
            *((f"an order overtakes a refusal that tells {held} held and the next at {release}",
               overtaken(held, release), *words)
              for held, release, words in ((3, HOLD_TTL, ()), (2, 1.1 + HOLD_TTL, ()), (1, HOLD_TTL, never_so),
                                           (3, 1.8, never_so))),
            ("a customer has reached the limit", limited(Story(max_per_customer=1).holds(0, customer="c"))),
            ("a customer has not reached the limit", limited(Story(max_per_customer=1)), "the customer had at most 0"),
            ("a sale has ended", ended(1.1)),
            ("a sale has not ended", ended(0.5), "sale-ended: it was never so"),
            ("a quantity is too large", too_many(1)),
            ("a quantity is not too large", too_many(2), "validation: it was never so"),
        ])

    def test_answers_that_cannot_be(self) -> None:
        def asked(slug: str, status: int = 409, story: Story | None = None, retry_after: int | None = 1,
                  **members: Any) -> Story:
            return (story or Story()).asks_hold(
                0.1, 0.2, 1, "c", status, problem(slug, **members), retry_after=retry_after)

        def of_hold(operation: str, status: int, slug: str) -> Story:
            return Story().holds(0).call(operation, 0.1, 0.2, {"hold_id": HOLD}, status, problem(slug))

        enough = {"available_stock": 5, "held_stock": 0, "next_release_at": None}
        late = paid().but(lambda story: vars_of(story.calls[1], start=ZERO + 1.5, end=ZERO + 1.6))
        self.judge([
            ("a fault has no Retry-After", asked("overloaded", 503, retry_after=None), "it has no Retry-After"),
            ("a sale has started", asked("sale-not-started", starts_at=text(1)), "sale-not-started: it was never so"),
            ("a limit is another", asked("customer-limit-reached", story=Story(max_per_customer=1).holds(
                0, customer="c"), max_per_customer=0), "customer-limit-reached: it was never so"),
            ("stock is enough", asked("insufficient-stock", retry_after=None, **enough), "5 are enough"),
            ("Retry-After without a time", asked("insufficient-stock", **{**enough, "available_stock": 0}),
             "Retry-After is 1"),
            ("a request is valid", asked("validation", 422, errors=[{"pointer": "/x"}]), "the request was valid"),
            ("a hold is told with another end", Story().holds(0).told(0, expires_at=text(9)), "it ends at"),
            ("a replay tells another status", Story().holds(0, key="k").asks_hold(
                0.1, 0.2, 1, None, 201, {**GRANTED, "status": "released"}, key="k", replay=True),
             "hold was answered 201: hold_a was active"),
            ("a release changes nothing", Story().holds(0).releases(0.1, 0.2), "release was answered 200: hold_a was"),
            ("an active hold has expired", of_hold("order", 409, "hold-expired"), "hold-expired: hold_a was"),
            ("a hold is not found", of_hold("read_hold", 404, "not-found"), "the hold was there"),
            ("a product is not found", Story().call("product", 0, 0.1, {"product_id": 1}, 404, problem("not-found")),
             "the product was there"),
            ("a change does nothing",
             Story().call("change", 0, 0.1, {"product_id": 1, "max_per_customer": 3}, 200, {}),
             "the product was not changed so"),
            ("an order was placed before its call", late, "it was placed at"),
            ("an applied event is told as parked",
             paid().asks_pay(2.1, 2.2, "p", 202, "applied", "paid", replay=True), "the status and the verdict differ"),
            ("an event was recorded before its call", paid().asks_pay(5, 5.1, "p", 200, "applied", "paid"),
             "it was recorded at"),
            ("an event is not settled", paid().call("settle", 3, 3.1, {"idempotency_key": "p"}, 200, {}),
             "settle was answered 200: the event was applied"),
        ])

    def test_faults_need_a_cause(self) -> None:
        def fault(slug: str, status: int = 503) -> Story:
            return Story().asks_hold(1, 2, 1, None, status, problem(slug))

        self.judge([
            ("nothing was locked", fault("overloaded"), "nobody had locked a row"),
            ("a lock is no reason for an internal error",
             fault("internal-error", 500).lock("products", "1", 0.5, 1.5), "no fault explains it"),
            ("a row was locked", fault("database-unavailable").lock("products", "1", 0.5, 1.5)),
            ("a backend was ended", fault("outcome-unknown").killed(1.5)),
            ("faults are injected",
             Story().under(has_faults=True).asks_hold(0, 0.1, 1, None, 503, problem("database-unavailable"))),
            *((f"the contract does not know {slug}", Story().under(has_faults=True).holds(0).call(
                operation, 0.1, 0.2, request, status, problem(slug)), f"{operation} was answered {status} {slug}: no")
              for operation, status, slug, request in (
                ("product", 500, "internal-error", {"product_id": 1}),
                ("order", 422, "customer-required", {"hold_id": HOLD}),
                ("hold", 404, "not-found", {"product_id": 1, "quantity": 1}), ("products", 503, "unheard-of", {}))),
        ])


class AcknowledgementTests(StoryTests):
    def test_acknowledged_changes_are_there(self) -> None:
        acknowledged = "is not in the database"
        self.judge([
            ("a hold is lost", Story().asks_hold(0, 0.1, 1, None, 201, GRANTED),
             f"an acknowledged hold {acknowledged}"),
            ("an order is lost", Story().holds(0).places(1).but(lambda story: story.log.pop()),
             f"an acknowledged order {acknowledged}"),
            ("a payment is lost", Story().asks_pay(0, 0.1, "p", 200, "applied", "paid"),
             f"an acknowledged payment event {acknowledged}"),
            ("a hold lasts too long", Story().holds(0, expires=3600),
             "lasts for longer than any hold", "it lasts until"),
            ("a hold is old, and its answer is fresh", Story().holds(0, key="k").but(
                lambda story: vars_of(story.calls[-1], start=ZERO + 0.5, end=ZERO + 0.5)), "it was made at"),
            *((f"a {'hold' if at == 0 else 'order'} is told with another {name}",
               Story().holds(0).places(1).told(at, **{name: value}),
               f"{'an order' if at else 'a hold'} is not what was said")
              for at, name, value in ((0, "quantity", 2), (0, "product_id", 2), (1, "amount", 99),
                                      (1, "hold_id", "hold_b"), (1, "created_at", text(0.5)),
                                      (1, "payment_due_at", text(9)))),
            ("an order does not cost what its units cost",
             Story().holds(0, quantity=2).places(1, quantity=2).told(-1, amount=201).but(
                lambda story: rows(story)[1].update(amount=201)), "costs 201 for 2 units"),
            ("an id repeats", Story().holds(0).but(again), "2 calls were told that they made the hold"),
        ])

    def test_unknown_outcomes(self) -> None:
        twice = Story().killed(0).holds(0, customer="a").holds(0.02, "hold_b", customer="a").without_calls(2)
        unheard = Story().killed(0).holds(0).without_calls().asks_hold(-0.01, 0.01, 1, None, 503, UNKNOWN)
        out_of_stock = problem("insufficient-stock", available_stock=0, held_stock=1, next_release_at=text(HOLD_TTL))
        by_order = "hold_a changed by order, and its sender was refused or told that nothing was done"
        self.judge([
            ("a hold without a response is there", unheard.reads(1, 1.1, 4)),
            ("a hold without a response is not there",
             Story().killed(0).asks_hold(-0.01, 0.01, 1, None, 503, UNKNOWN).reads(1, 1.1, 5)),
            ("a hold without a response is there twice", twice.asks_hold(-0.01, 0.03, 1, "a", 503, UNKNOWN),
             "at most 1 requests may have made them"),
            ("a refused hold is there", Story(stock=1).holds(0).answered(409, out_of_stock),
             "at most 0 requests may have made them"),
            ("a refused order is there",
             Story().killed(1).holds(0).places(1).answered(409, problem("hold-already-ordered")), by_order),
            ("an order that did nothing is there",
             Story().killed(1).holds(0).places(1).answered(503, problem("overloaded")), by_order),
        ])

    def test_keys(self) -> None:
        def keyed() -> Story:
            return Story().holds(0, key="k")

        self.judge([
            ("a key is lost", keyed().but(lambda story: story.log[-1].changes.pop()),
             "key k of product 1, customer None leads to None in the database"),
            ("a key leads to another hold", keyed().but(lambda story: rows(story)[-1].update(hold_id="hold_b")),
             "leads to hold_b in the database"),
            ("nobody sent a key", keyed().but(lambda story: vars_of(story.calls[-1], key=None)),
             "is in the database, and no call under it succeeded"),
            ("a replay is the first of its request", Story().holds(0, key="k", replay=True),
             "a replay of a request that nobody had made before"),
            ("a replay has no key",
             Story().holds(0, key="k", replay=True).but(lambda story: vars_of(story.calls[-1], key=None)),
             "a replay without a key"),
        ])


class StatusTests(StoryTests):
    def test_holds_and_orders_do_not_go_back(self) -> None:
        lapsed = Story().holds(0).reads_hold(2.1, 2.2, "expired")
        unpaid = paid().reads_order(2.5, 2.6, 200, {"status": "pending_payment"})
        self.judge([
            ("a hold reads as active after its time", Story().holds(0).reads_hold(2.5, 2.6, "active"),
             "read_hold was answered 200: hold_a was active"),
            ("an order is not found", Story().holds(0).places(1).reads_order(1.1, 1.2, 404, problem("not-found")),
             "read_order was answered 404"),
            *((f"a hold that is being ordered reads as {status}",
               Story().holds(0).places(1).reads_hold(0.995, 1.005, status)) for status in ("active", "ordered")),
            ("a hold reads as expired", lapsed),
            ("a hold that is ordered expires", Story().holds(0).places(1).reads_hold(2.1, 2.2, "expired"),
             "hold_a was ordered"),
            ("a paid order reads as unpaid", unpaid, "the order was paid"),
        ])
        self.judge([("a hold comes alive again", lapsed.reads_hold(2.3, 2.4, "active"), "hold_a was active, until"),
                    ("a paid order expires", unpaid.commit(3, order(status="expired"), take(-1)),
                     "by its payments it is paid")])

    def test_payments(self) -> None:
        def placed_with_event(told: str) -> Story:
            story = Story().holds(0).pays(0.5, "p", "parked", None)
            return story.places(1, ORDER, 1, None, "paid", event("p", verdict="applied", order_status="paid")).told(
                -1, status=told)

        def second(words: Iterable[str], verdict: str) -> Any:
            return f"a second success is {verdict}", paid().pays(2.1, "q", verdict, "paid"), *words

        other = paid().asks_pay(2.1, 2.2, "p", 200, "applied", "paid", status="failed", replay=True)
        self.judge([
            second((), "refund_due"), second(["that is paid, is ignored"], "ignored"),
            second(["that is paid, is applied"], "applied"),
            ("an event before its order is applied with it", placed_with_event("paid")),
            ("an event before its order is not told with it", placed_with_event("pending_payment"),
             "the order was None, then paid"),
            ("the response to a repeated event is what is recorded",
             paid().asks_pay(2.1, 2.2, "p", 200, "applied", "paid", replay=True)),
            ("the response to a repeated event differs",
             paid().asks_pay(2.1, 2.2, "p", 200, "refund_due", "paid", replay=True),
             "the event was ('applied', 'paid')"),
            ("an event is new twice", paid().but(again),
             "2 answers to payment event p say that it came for the first time"),
            ("another event has the key", other, "the event was"),
        ])
        other.calls[-1].request["status"] = "success"
        self.judge([("an event is refused for another under its key",
                     other.but(lambda story: story.calls[-1].answered(422, problem("idempotency-key-reused"), False)),
                     "there is no other event under the key")])

    def test_clock_that_was_set_proves_nothing(self) -> None:
        story = Story().reads(0, 0.1, 5).reads(1, 1.1, 5)
        for second, call in enumerate(story.calls):
            call.start_monotonic = call.start + second
        self.judge([("the clock was set", story, "clock was set")])


def vars_of(thing: object, **values: object) -> None:
    for name, value in values.items():
        setattr(thing, name, value)


def rows(story: Story) -> list[Any]:
    """What the last transaction left."""
    return [change.row for change in story.log[-1].changes]


def again(story: Story) -> None:
    """The last call is made twice."""
    story.calls.append(story.calls[-1])


if __name__ == "__main__":
    unittest.main()
