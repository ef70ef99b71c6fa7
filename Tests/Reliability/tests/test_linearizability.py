"""Each response was true at some moment of its call, in one order for all clients. Run with: python3 -m unittest."""

import unittest

from .story import HOLD, HOLD_TTL, ORDER, ORDER_TTL, Story, StoryTests, problem, text


class StockTests(StoryTests):
    def test_read_sees_what_was_taken_before_it(self) -> None:
        story = Story()
        story.holds(0)
        story.reads(0.1, 0.2, 4)
        self.accept(story)
        story.reads(0.3, 0.4, 5)
        self.refuse(story, "it was never so")

    def test_read_may_come_before_or_after_what_overlaps_it(self) -> None:
        for available, is_refused in ((5, False), (3, False), (4, True)):
            story = Story()
            story.holds(0, quantity=2)
            story.reads(-0.005, 0.005, available)
            (self.refuse if is_refused else self.accept)(story, *["it was never so"] * is_refused)

    def test_two_reads_one_after_the_other_do_not_go_back(self) -> None:
        for first, second, is_refused in ((5, 3, False), (3, 5, True)):
            story = Story()
            story.holds(0, quantity=2)
            story.calls.pop()  # no response bounds when the hold was visible
            story.kills = [0]
            story.call("hold", -0.01, 3, {"product_id": 1, "quantity": 2}, 503, problem("outcome-unknown"))
            story.reads(0.01, 0.02, first)
            story.reads(0.03, 0.04, second)
            (self.refuse if is_refused else self.accept)(story, *["it was never so"] * is_refused)

    def test_list_of_products_is_judged_like_a_product(self) -> None:
        for available, is_refused in ((4, False), (5, True)):
            story = Story()
            story.holds(0)
            story.reads(0.1, 0.2, available)
            story.calls[-1].operation, story.calls[-1].answer = "products", {"products": [story.calls[-1].answer]}
            story.calls[-1].product = 0
            (self.refuse if is_refused else self.accept)(story, *["products was answered 200"] * is_refused)

    def test_no_more_is_taken_than_there_is(self) -> None:
        story = Story(stock=1)
        story.holds(0)
        story.holds(1, "hold_b")
        self.refuse(story, "not conserved")

    def test_hold_that_lapses_comes_back_at_once(self) -> None:
        story = Story()
        story.holds(0, quantity=3)
        story.reads(1, 1.1, 2)
        story.reads(HOLD_TTL + 0.1, HOLD_TTL + 0.2, 5)
        self.accept(story)
        story.reads(HOLD_TTL + 0.3, HOLD_TTL + 0.4, 2)
        self.refuse(story, "it was never so")

    def test_hold_may_read_as_lapsed_while_its_order_is_being_committed(self) -> None:
        for visible, is_refused in ((2.3, False), (1.99, True)):
            story = Story()
            story.holds(0)
            story.places(1.98)
            story.calls[-1].end += visible - 1.99
            # Another hold commits later and is visible sooner.
            story.holds(2.1, "hold_b")
            story.reads(2.15, 2.2, 4)
            (self.refuse if is_refused else self.accept)(story, *["it was never so"] * is_refused)

    def test_released_hold_gives_back_once(self) -> None:
        story = Story()
        story.holds(0, quantity=3)
        story.commit(1, story.hold(status="released"), story.take(-3))
        for start in (0.95, 1.5):
            story.call("release", start, start + 0.1, {"hold_id": HOLD}, 200, {"status": "released"})
        story.reads(2, 2.1, 5)
        self.accept(story)
        story.reads(2.2, 2.3, 8)
        self.refuse(story, "it was never so")
        story.commit(3, story.take(-3))
        self.refuse(story, "not conserved")

    def test_failed_payment_gives_back_once(self) -> None:
        story = Story()
        story.holds(0, quantity=2)
        story.places(1, quantity=2)
        story.pays(2, "p", "applied", "cancelled", story.order(status="cancelled"), story.take(-2), status="failed")
        story.reads(2.5, 2.6, 5)
        self.accept(story)
        story.commit(3, story.take(-2))
        self.refuse(story, "not conserved")

    def test_unpaid_order_gives_back_when_it_expires(self) -> None:
        for start, available, is_refused in ((3, 3, False), (4.6, 5, False), (4.6, 3, True), (3, 5, True)):
            story = Story()
            story.holds(0, quantity=2)
            story.places(1, quantity=2)
            story.expires(1 + ORDER_TTL + 0.2, quantity=2)
            story.commit(1 + ORDER_TTL + 0.3, story.take(0))
            story.reads(start, start + 0.01, available)
            (self.refuse if is_refused else self.accept)(story, *["it was never so"] * is_refused)

    def test_late_success_takes_the_units_again(self) -> None:
        story = Story()
        story.holds(0, quantity=2)
        story.places(1, quantity=2)
        story.pays(2, "f", "applied", "cancelled", story.order(status="cancelled"), story.take(-2), status="failed")
        story.reads(2.5, 2.6, 5)
        story.pays(3, "s", "reacquired", "paid", story.order(status="paid"), story.take(2))
        story.reads(3.5, 3.6, 3)
        self.accept(story)


class ResponseTests(StoryTests):
    def test_acknowledged_hold_is_there(self) -> None:
        story = Story()
        story.asks_hold(0, 0.1, 1, None, 201, {
            "hold_id": HOLD, "product_id": 1, "quantity": 1, "status": "active", "expires_at": text(HOLD_TTL)})
        self.refuse(story, "an acknowledged hold is not in the database")

    def test_acknowledged_order_is_there(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.log.pop()
        self.refuse(story, "an acknowledged order is not in the database")

    def test_acknowledged_payment_is_there(self) -> None:
        story = Story()
        story.asks_pay(0, 0.1, "p", 200, "applied", "paid")
        self.refuse(story, "an acknowledged payment event is not in the database")

    def test_hold_that_lasts_too_long_is_refused(self) -> None:
        story = Story()
        story.holds(0, expires=3600)
        self.refuse(story, "lasts for longer than any hold", "it lasts until")

    def test_hold_without_a_response_may_be_there_or_not(self) -> None:
        for is_there in (True, False):
            story = Story()
            story.kills = [0]
            if is_there:
                story.holds(0)
                story.calls.pop()
            story.asks_hold(-0.01, 0.01, 1, None, 503, problem("outcome-unknown"))
            story.reads(1, 1.1, 4 if is_there else 5)
            self.accept(story)

    def test_hold_without_a_response_is_not_there_twice(self) -> None:
        story = Story()
        story.kills = [0]
        story.holds(0, customer="a")
        story.holds(0.02, "hold_b", customer="a")
        del story.calls[-2:]
        story.asks_hold(-0.01, 0.03, 1, "a", 503, problem("outcome-unknown"))
        self.refuse(story, "at most 1 requests may have made them")

    def test_refused_call_that_had_an_effect_is_noticed(self) -> None:
        story = Story(stock=1)
        story.holds(0)
        story.calls[-1].answered(409, problem(
            "insufficient-stock", available_stock=0, held_stock=1, next_release_at=text(HOLD_TTL)), False, 1)
        self.refuse(story, "at most 0 requests may have made them")
        for refusal in (problem("hold-already-ordered"), problem("overloaded")):
            story = Story()
            story.kills = [1]
            story.holds(0)
            story.places(1)
            story.calls[-1].answered(503 if "overloaded" in refusal["type"] else 409, refusal, False, 1)
            self.refuse(story, "hold_a changed by order, and its sender was refused or told that nothing was done")

    def test_response_that_the_contract_does_not_know_is_refused(self) -> None:
        for operation, status, slug, request in (
                ("product", 500, "internal-error", {"product_id": 1}), ("order", 422, "customer-required", {"hold_id": HOLD}),
                ("hold", 404, "not-found", {"product_id": 1, "quantity": 1}), ("products", 503, "unheard-of", {})):
            story = Story()
            story.has_faults = True
            story.holds(0)
            story.call(operation, 0.1, 0.2, request, status, problem(slug))
            self.refuse(story, f"{operation} was answered {status} {slug}: no")

    def test_fault_needs_no_other_cause_where_faults_are_injected(self) -> None:
        story = Story()
        story.has_faults = True
        story.asks_hold(0, 0.1, 1, None, 503, problem("database-unavailable"))
        self.accept(story)

    def test_key_is_there_with_what_it_made(self) -> None:
        story = Story()
        story.holds(0, key="k")
        del story.log[-1].changes[-1]
        self.refuse(story, "key k of product 1, customer None leads to None in the database")
        story = Story()
        story.holds(0, key="k")
        story.log[-1].changes[-1].row["hold_id"] = "hold_b"
        self.refuse(story, "leads to hold_b in the database")
        story = Story()
        story.holds(0, key="k")
        story.calls[-1].key = None
        self.refuse(story, "is in the database, and no call under it succeeded")

    def test_hold_and_order_are_told_as_they_are(self) -> None:
        for at, name, value in ((0, "quantity", 2), (0, "product_id", 2), (1, "amount", 99), (1, "hold_id", "hold_b"),
                                (1, "created_at", text(0.5)), (1, "payment_due_at", text(9))):
            story = Story()
            story.holds(0)
            story.places(1)
            story.calls[at].answer[name] = value
            self.refuse(story, f"{'an order' if at else 'a hold'} is not what was said")

    def test_order_costs_what_its_units_cost(self) -> None:
        story = Story()
        story.holds(0, quantity=2)
        story.places(1, quantity=2)
        story.log[-1].changes[1].row["amount"] = story.calls[-1].answer["amount"] = 201
        self.refuse(story, "costs 201 for 2 units")

    def test_ids_do_not_repeat(self) -> None:
        story = Story()
        story.holds(0)
        story.calls.append(story.calls[-1])
        self.refuse(story, "2 calls were told that they made the hold")

    def test_replay_repeats_an_earlier_request(self) -> None:
        story = Story()
        story.holds(0, key="k", replay=True)
        self.refuse(story, "a replay of a request that nobody had made before")
        story.calls[0].key = None
        self.refuse(story, "a replay without a key")

    def test_hold_does_not_come_alive_again(self) -> None:
        story = Story()
        story.holds(0)
        story.reads_hold(2.1, 2.2, "expired")
        self.accept(story)
        story.reads_hold(2.3, 2.4, "active")
        self.refuse(story, "hold_a was active, until")

    def test_hold_that_is_ordered_does_not_expire(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.reads_hold(2.1, 2.2, "expired")
        self.refuse(story, "hold_a was ordered")

    def test_paid_order_stays_paid(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.pays(2, "p", "applied", "paid", story.order(status="paid"))
        story.call("read_order", 2.5, 2.6, {"order_id": ORDER}, 200, {"status": "pending_payment"})
        self.refuse(story, "the order was paid")
        story.commit(3, story.order(status="expired"), story.take(-1))
        self.refuse(story, "by its payments it is paid")

    def test_second_success_is_refund_due(self) -> None:
        for verdict, is_refused in (("refund_due", False), ("ignored", True), ("applied", True)):
            story = Story()
            story.holds(0)
            story.places(1)
            story.pays(2, "p", "applied", "paid", story.order(status="paid"))
            story.pays(2.1, "q", verdict, "paid")
            (self.refuse if is_refused else self.accept)(story, *[f"that is paid, is {verdict}"] * is_refused)

    def test_event_before_its_order_is_applied_with_it(self) -> None:
        for told, is_refused in (("paid", False), ("pending_payment", True)):
            story = Story()
            story.holds(0)
            story.pays(0.5, "p", "parked", None)
            story.places(1, ORDER, 1, None, "paid", story.event("p", verdict="applied", order_status="paid"))
            story.calls[-1].answer["status"] = told
            (self.refuse if is_refused else self.accept)(story, *["the order was None, then paid"] * is_refused)

    def test_every_response_to_an_event_is_what_is_recorded(self) -> None:
        for verdict, status, is_refused in (("applied", "paid", False), ("refund_due", "paid", True)):
            story = Story()
            story.holds(0)
            story.places(1)
            story.pays(2, "p", "applied", "paid", story.order(status="paid"))
            story.asks_pay(2.1, 2.2, "p", 200, verdict, status, replay=True)
            (self.refuse if is_refused else self.accept)(story, *["the event was ('applied', 'paid')"] * is_refused)

    def test_event_that_is_new_twice_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.pays(2, "p", "applied", "paid", story.order(status="paid"))
        story.calls.append(story.calls[-1])
        self.refuse(story, "2 answers to payment event p say that it came for the first time")

    def test_other_event_under_a_key_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.pays(2, "p", "applied", "paid", story.order(status="paid"))
        story.asks_pay(2.1, 2.2, "p", 200, "applied", "paid", status="failed", replay=True)
        self.refuse(story, "the event was")
        story.calls[-1].request["status"] = "success"
        story.calls[-1].answered(422, problem("idempotency-key-reused"), False)
        self.refuse(story, "there is no other event under the key")

    def test_clock_that_was_set_proves_nothing(self) -> None:
        story = Story()
        story.reads(0, 0.1, 5)
        story.reads(1, 1.1, 5)
        for second, call in enumerate(story.calls):
            call.start_monotonic = call.start + second
        self.refuse(story, "clock was set")


if __name__ == "__main__":
    unittest.main()
