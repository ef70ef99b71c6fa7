"""The checker refuses changes that must not be, and nothing else. Run with: python3 -m unittest, in
Tests/Reliability."""

import unittest
from typing import Any

from reliability.checker.judge import some_of_each_kind

from .story import (
    HOLD, HOLD_TTL, ORDER, ORDER_TTL, PAID, PARKED_TTL, Row, Story, StoryTests, event, hold, order, problem,
    product, take, text)


def locked_sale(lock_ends: float) -> Story:
    """A hold as soon as the product's row could be had, of a sale that ends at 1."""
    return Story(ends_at=1.0).lock("products", "1", 0.1, lock_ends).holds(lock_ends + 0.01)


def released(lock_ends: float) -> Story:
    """A release as soon as the hold's row could be had."""
    story = Story().holds(0).lock("holds", HOLD, 0.5, lock_ends)
    return story.commit(lock_ends + 0.01, hold(status="released"), take(-1)).releases(0.6, lock_ends + 0.02)


def lapsing(limit: int) -> Story:
    """A hold that lapses while it is being ordered, and meanwhile another hold of its customer."""
    story = Story(max_per_customer=limit).holds(0, customer="c")
    return story.holds(HOLD_TTL + 0.01, "hold_b", customer="c").places(HOLD_TTL + 0.02, created=HOLD_TTL - 0.01)


def expired(stock: int = 5, customer: str | None = None, **values: Any) -> Story:
    """An order that has expired at 4.5."""
    return Story(stock, **values).holds(0, customer=customer).places(1).expires(4.5)


def parked(status: str = "success") -> Story:
    return Story().holds(0).pays(0.5, "p", "parked", None, status=status)


def paid() -> Story:
    return Story().holds(0).places(1).pays(2, "p", "applied", "paid", PAID)


def refund(amount: int = 100, status: str = "refunded", is_restocked: bool = False, **values: Any) -> Row:
    return order(refunded_amount=lambda before: before + amount, status=status, is_restocked=is_restocked, **values)


def refunded(*amounts: int, told: int = 201, by: str = "f") -> Story:
    """Refunds of an order of 100, each under a key of its own."""
    story, left = paid(), 100
    for time, amount in enumerate(amounts, 3):
        left -= amount
        story.commit(time, refund(amount, "paid" if left else "refunded"))
        story.refunds(time - 0.1, time + 0.1, f"{by}{time}", told, {"amount": amount})
    return story


def restocked() -> Story:
    story = Story()
    for time in (1, 2):
        story.commit(time, product(total_stock=lambda total: total + 2, available_stock=lambda stock: stock + 2))
        story.call("restock", time - 0.1, time + 0.1, {"product_id": 1, "delta": 2}, 200, {}, key=f"r{time}")
    return story


class HoldTests(StoryTests):
    def test_holds_and_orders(self) -> None:
        self.judge([
            ("a purchase is accepted", Story(max_per_customer=1).holds(0, customer="c", key="k").asks_hold(
                0.1, 0.2, 1, "c", 201, {"hold_id": HOLD, "product_id": 1, "quantity": 1, "status": "active",
                                        "expires_at": text(HOLD_TTL)}, key="k", replay=True)
             .places(1).pays(2, "p", "applied", "paid", PAID).reads_order(2.1, 2.2, 200, {"status": "paid"})),
            ("units come from nowhere", Story().commit(1, take(-1)), "not conserved"),
            ("a change overlooks another one", Story().commit(1, take(1)).but(
                lambda story: setattr(story.log[-1].changes[0], "was", "4")), "as the one before had left it"),
            ("a customer is above the limit through a hold",
             Story(max_per_customer=2).holds(0, customer="c", quantity=2).holds(1, "hold_b", customer="c"),
             "through a hold, above the limit of 2"),
            ("a lapsed hold does not count for the limit",
             Story(max_per_customer=2).holds(0, customer="c", quantity=2).holds(2.1, "hold_b", customer="c")),
            ("a limit that is lowered later excuses what was there",
             Story(max_per_customer=2).holds(0, customer="c", quantity=2).commit(0.5, product(max_per_customer=1))),
            ("a hold is above a limit that was committed before",
             Story().commit(0.5, product(max_quantity_per_hold=2)).holds(1, quantity=3), "max_quantity_per_hold was 2"),
            ("a hold under a limit has no customer", Story(max_per_customer=2).holds(0), "names no customer"),
            ("a hold waits for the row until the sale has not ended", locked_sale(0.9)),
            ("a hold waits for the row until the sale has ended", locked_sale(1.2), "after the sale had ended"),
            ("a hold comes before the sale", Story(starts_at=1.0).holds(0.9), "before the sale starts"),
            ("a time to live begins before the wait for the row",
             Story().lock("products", "1", 0.1, 1.3).holds(1.31, expires=0.1 + HOLD_TTL), "lasts for"),
            ("a time to live begins after the wait for the row",
             Story().lock("products", "1", 0.1, 1.3).holds(1.31, expires=1.301 + HOLD_TTL)),
            ("a wait behind another transaction counts too",
             Story().commit(1.3, take(0), locked=0.2).holds(1.301, expires=0.1 + HOLD_TTL, locked=1.3005), "lasts for"),
            ("a hold ends before its time", Story().holds(0).commit(1, hold(status="expired"), take(-1)),
             "before its time"),
            ("a hold ends twice", Story().holds(0).commit(1, hold(status="expired"), take(-1))
             .commit(3, hold(status="released"), take(0)), "was expired, then released"),
            ("a release comes in time", released(1.9)),
            ("a release comes after its hold's time", released(2.1), "released after its time"),
            ("an order comes after its hold's time", Story().holds(0).places(2.5), "after its hold's time"),
            ("an order is placed by a clock from before the wait",
             Story().holds(0).lock("holds", HOLD, 1, 1.9).places(1.91, created=1.1),
             "before the hold's row could be had"),
            ("a hold lapses while it is being ordered", lapsing(2)),
            ("a hold that lapses while it is being ordered counts for the limit", lapsing(1),
             "that was being ordered, above the limit of 1"),
            ("an order expires late",
             Story().under(undisturbed=(1,)).holds(0).places(1).expires(0.999 + ORDER_TTL + 1.1), "after its time"),
            ("an order expires late, and the harness may have locked it",
             Story().holds(0).places(1).expires(0.999 + ORDER_TTL + 1.1)),
        ])

    def test_rows_that_change_as_they_must_not(self) -> None:
        placed = Story().holds(0).places(1)
        begun = {"quantity": 1, "customer_id": None, "expires_at": HOLD_TTL}
        new = {"quantity": 1, "amount": 100, "currency": "USD", "status": "pending_payment", "created_at": 1,
               "refunded_amount": 0, "is_restocked": False}
        self.judge([
            ("a hold takes nothing", Story().commit(0, hold(status="active", **begun)), "its stock was left as it was"),
            ("a hold begins as ordered", Story().commit(0, hold(status="ordered", **begun), take(1)), "hold_a began"),
            ("a hold vanishes", Story().holds(0).commit(1, ("holds", HOLD, None)), "hold_a is gone"),
            ("a hold grows", Story().holds(0).commit(1, hold(quantity=2), take(1)), "is another hold than before"),
            ("a hold is ordered alone", Story().holds(0).commit(1, hold(status="ordered")), "without its order"),
            ("an order is placed alone", Story().holds(0).commit(1, order(payment_due_at=1 + ORDER_TTL, **new)),
             "its hold was left as it was"),
            ("an order is placed twice", placed.places(1.5), "order_a is another order than before"),
            ("an order is placed from what was released",
             Story().holds(0).commit(0.5, hold(status="released"), take(-1)).places(1), "from a hold that is released"),
            ("an order has another time to live", Story().holds(0).commit(
                1, hold(status="ordered"), order(payment_due_at=9, **new)), "has to be paid within 8.000 s"),
            ("an order vanishes", Story().holds(0).places(1).commit(2, ("orders", ORDER, None)), "order_a is gone"),
            ("an event changes", parked().commit(1, event("p", amount=5)), "event p is another than before"),
            ("a verdict changes", Story().holds(0).places(1).pays(2, "p", "applied", "paid", PAID).commit(
                3, event("p", verdict="ignored")), "event p was applied, then ignored"),
            ("nobody settled an event", parked().commit(0.6, event("p", settled_at=0.6)), "p changed by settle"),
            ("an event is settled no more", parked().commit(0.6, event("p", settled_at=0.6)).commit(
                0.7, event("p", settled_at=None)), "event p is not settled any more"),
        ])


class PaymentTests(StoryTests):
    def test_verdicts(self) -> None:
        self.judge([
            ("each verdict of the table is accepted",
             expired().pays(5, "wrong", "amount_mismatch", "expired", amount=101)
             .pays(6, "failed", "ignored", "expired", status="failed")
             .pays(7, "late", "reacquired", "paid", PAID, take(1)).pays(8, "twice", "refund_due", "paid")
             .asks_pay(9, 9.1, "late", 200, "reacquired", "paid", replay=True)),
            *((f"an order that has expired, and {verdict} do not fit", expired().pays(5, "p", verdict, status, *rows),
               "payment event p, success on order_a that is expired") for verdict, status, rows in (
                ("applied", "paid", [PAID, take(1)]), ("ignored", "expired", []), ("amount_mismatch", "expired", []),
                ("parked", None, []))),
            ("a wrong amount pays an order",
             Story().holds(0).places(1).pays(2, "p", "applied", "paid", PAID, amount=101),
             "payment event p, success on order_a that is pending_payment, is applied"),
            ("an order changes without a payment", expired().commit(5, PAID, take(1)), "by its payments it is expired"),
            ("an order expires before it is due", Story().holds(0).places(1).expires(2), "before it was due"),
            ("an event says another status than its order's",
             expired().pays(5, "p", "ignored", "cancelled", status="failed"),
             "says that order_a is cancelled, which is expired"),
        ])

    def test_late_payments(self) -> None:
        def beside_another(limit: int | None, stock: int, *payment: Any, time: float = 5.5) -> Story:
            """A late payment while another hold has units."""
            customer = {"customer": "c"} if limit else {}
            return expired(stock, **customer, **({"max_per_customer": limit} if limit else {})).holds(
                5, "hold_b", **customer).pays(time, "p", *payment)

        self.judge([
            ("a late payment is above the limit", beside_another(1, 5, "reacquired", "paid", PAID, take(1)),
             "through a late payment, above the limit of 1"),
            ("a new order keeps the units of its hold above a lowered limit",
             Story(max_per_customer=2).holds(0, quantity=2, customer="c").pays(
                0.5, "failed", "parked", None, status="failed").pays(0.6, "paid", "parked", None)
             .commit(0.7, product(max_per_customer=1)).places(
                1, ORDER, 2, None, "paid", event("failed", verdict="applied", order_status="cancelled"),
                event("paid", verdict="reacquired", order_status="paid"))),
            ("a late payment is given back for the limit", beside_another(1, 5, "refund_due", "expired")),
            ("a late payment is given back, and the limit allows it", beside_another(2, 5, "refund_due", "expired"),
             "could have been paid"),
            ("a late payment is given back for the stock", beside_another(None, 1, "refund_due", "expired")),
            ("a late payment is given back, and what was held has lapsed",
             beside_another(None, 1, "refund_due", "expired", time=7.5), "could have been paid"),
        ])

    def test_parked_payments(self) -> None:
        applied = event("p", verdict="applied", order_status="paid")
        gone = ("payment_events", "p", None)
        settled = parked().commit(0.6, event("p", settled_at=0.6)).call(
            "settle", 0.5, 0.7, {"idempotency_key": "p"}, 200, {})
        self.judge([
            ("a parked payment is applied when its order is placed",
             parked().places(1, ORDER, 1, None, "paid", applied)),
            ("a parked payment is not applied when its order is placed", parked().places(1),
             "its parked events were not applied"),
            ("a parked payment vanishes", parked().commit(6, gone), "payment event p is gone",
             "pay was answered 202: an acknowledged payment event is not in the database"),
            ("a parked failure is removed after its time", parked("failed").commit(0.5 + PARKED_TTL + 0.1, gone)),
            ("a parked failure is removed before its time", parked("failed").commit(0.5 + PARKED_TTL - 0.1, gone),
             "was kept for"),
            ("a parked payment becomes refund_due before its time",
             parked().commit(0.5 + PARKED_TTL - 0.1, event("p", verdict="refund_due")),
             "is refund_due, and there is no order_a"),
            ("a parked payment becomes refund_due after its time",
             parked().commit(0.5 + PARKED_TTL + 0.1, event("p", verdict="refund_due"))),
            ("a parked payment is forgotten", parked().commit(20, take(0)), "is parked for"),
            ("a parked payment is settled", settled),
        ])
        self.judge([("a settled payment is applied", settled.places(1, ORDER, 1, None, "paid", applied),
                     "was settled while it was parked")])


class EffectTests(StoryTests):
    def test_effects(self) -> None:
        twice = Story().holds(0, customer="c", key="k").holds(1, "hold_b", customer="c", key="k")
        payment = Story().holds(0).killed(0.5).pays(0.5, "p", "parked", None).answered(503, problem("overloaded"))
        self.judge([
            ("nobody was told of a hold", Story().killed(0).holds(0).answered(503, problem("overloaded")),
             "at most 0 requests may have made them"),
            ("the outcome of a hold is unknown", Story().killed(0).holds(0).answered(503, problem("outcome-unknown"))),
            ("a key stands for two holds", twice, "stands for 2 things", "told that they were the first"),
            ("customers have keys of their own",
             Story().holds(0, customer="c", key="k").holds(1, "hold_b", customer="d", key="k")),
            ("a key of another customer is refused", Story().holds(0, customer="c", key="k").asks_hold(
                1, 1.1, 1, "d", 422, problem("idempotency-key-reused"), key="k"), "this customer made none"),
            ("nobody asked for a release", Story().holds(0).commit(1, hold(status="released"), take(-1)),
             "hold_a changed by release"),
            ("nobody asked for an order", Story().holds(0).places(1).without_calls(), "hold_a changed by order"),
            ("a payment was refused, and is recorded", payment, "p changed by pay, and its sender was refused"),
            ("keys add once each", restocked()),
            ("a key adds twice", restocked().but(lambda story: setattr(story.calls[-1], "key", "r1")),
             "changed by +2 2 times"),
        ])

    def test_refunds(self) -> None:
        def again(amount: int) -> Story:
            return refunded(40).refunds(4, 4.1, "f3", 201, {"amount": amount})

        self.judge([
            ("an order is refunded in parts, then restocked", refunded(40, 60).commit(
                5, refund(0, is_restocked=True), take(-1)).refunds(4.9, 5.1, "f5", 201, {"amount": 0})
             .reads(5.2, 5.3, 5)),
            ("an order is refunded and restocked at once", paid().commit(3, refund(is_restocked=True), take(-1))
             .refunds(2.9, 3.1, "f", 201, {"amount": 100}).reads(3.2, 3.3, 5)),
            ("a refund returns units, and keeps them", paid().commit(3, refund(), take(-1)), "not conserved"),
            ("a part returns the units", paid().commit(3, refund(40, "paid", True), take(-1)),
             "is paid, and its units are restocked"),
            ("units are restocked no more", refunded().commit(3, refund(is_restocked=True), take(-1)).commit(
                4, refund(0), take(1)), "its units are no longer restocked"),
            ("more is refunded than was paid", paid().commit(3, refund(101)), "had 0 refunded, and then 101"),
            ("an unpaid order is refunded", Story().holds(0).places(1).commit(2, refund(1, "pending_payment")),
             "of 100 and pending_payment, had 0 refunded"),
            ("all is refunded of an order that stays paid", paid().commit(3, refund(100, "paid")), "is paid, and 100"),
            ("a part is refunded of an order that is refunded", paid().commit(3, refund(1)), "is refunded, and 1 of"),
            ("a key is repeated", again(40)),
            ("a key refunds twice", refunded(40, 40).but(lambda story: setattr(story.calls[-1], "key", "f3")),
             "refunded 2 times, 80 in all; 1 keys were told of 40, and 1 asked"),
            ("a key is told something else", again(41), "was told of 40, and of 41"),
            ("a refund is lost", paid().refunds(3, 3.1, "f", 201, {"amount": 40}), "refunded 0 times"),
            ("nobody asked for a refund", refunded(40).without_calls(), "0 asked"),
            ("the outcome of a refund is unknown", refunded(40, told=0)),
            *((sentence, (refunded(*amounts) if amounts is not None else Story().holds(0).places(1)).refunds(
                5, 5.1, "g", 409, problem(slug, **members), amount=60), *words)
              for sentence, amounts, slug, members, words in (
                ("a refund is too large", (50,), "refund-too-large", {"refundable_amount": 50}, ()),
                ("a refund is not too large", (40,), "refund-too-large", {"refundable_amount": 60}, ("order was",)),
                ("a refund is too large for what never was", (50,), "refund-too-large", {"refundable_amount": 40},
                 ("order was",)),
                ("an order is not paid", None, "order-not-paid", {"order_status": "pending_payment"}, ()),
                ("an order is paid", (), "order-not-paid", {"order_status": "pending_payment"}, ("order was",)))),
        ])

    def test_much_of_one_kind_is_told_by_a_few(self) -> None:
        lines = [f"payment event p-{number} is gone (transaction {number})" for number in range(100)]
        shown = some_of_each_kind([*lines, "another"])
        self.assertEqual((len(shown), shown[5][:12], shown[6]), (7, "and 95 more ", "another"))


if __name__ == "__main__":
    unittest.main()
