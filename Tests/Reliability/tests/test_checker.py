"""The checker refuses what must not be, and nothing else. Run with: python3 -m unittest, in Tests/Reliability."""

import unittest
from typing import Any

from reliability.checker.judge import some_of_each_kind

from .story import HOLD, HOLD_TTL, ORDER, ORDER_TTL, PARKED_TTL, ZERO, Story, StoryTests, problem, text


class HoldTests(StoryTests):
    def test_purchase_is_accepted(self) -> None:
        story = Story(max_per_customer=1)
        story.holds(0, customer="c", key="k")
        story.asks_hold(0.1, 0.2, 1, "c", 201, {
            "hold_id": HOLD, "product_id": 1, "quantity": 1, "status": "active", "expires_at": text(HOLD_TTL)}, key="k",
            replay=True)
        story.places(1)
        story.pays(2, "p", "applied", "paid", story.order(status="paid"))
        story.call("read_order", 2.1, 2.2, {"order_id": ORDER}, 200, {"status": "paid"})
        self.accept(story)

    def test_units_that_come_from_nowhere_are_refused(self) -> None:
        story = Story()
        story.commit(1, story.take(-1))
        self.refuse(story, "not conserved")

    def test_change_that_overlooks_another_one_is_refused(self) -> None:
        story = Story()
        story.commit(1, story.take(1))
        story.log[-1].changes[0].was = "4"
        self.refuse(story, "as the one before had left it")

    def test_customer_above_the_limit_through_a_hold_is_refused(self) -> None:
        story = Story(max_per_customer=2)
        story.holds(0, customer="c", quantity=2)
        story.holds(1, "hold_b", customer="c")
        self.refuse(story, "through a hold, above the limit of 2")

    def test_lapsed_hold_does_not_count_for_the_limit(self) -> None:
        story = Story(max_per_customer=2)
        story.holds(0, customer="c", quantity=2)
        story.holds(2.1, "hold_b", customer="c")
        self.accept(story)

    def test_limit_that_is_lowered_later_excuses_what_was_there(self) -> None:
        story = Story(max_per_customer=2)
        story.holds(0, customer="c", quantity=2)
        story.commit(0.5, story.product(max_per_customer=1))
        self.accept(story)

    def test_hold_above_a_limit_that_was_committed_before_is_refused(self) -> None:
        story = Story()
        story.commit(0.5, story.product(max_quantity_per_hold=2))
        story.holds(1, quantity=3)
        self.refuse(story, "max_quantity_per_hold was 2")

    def test_hold_without_a_customer_under_a_limit_is_refused(self) -> None:
        story = Story(max_per_customer=2)
        story.holds(0)
        self.refuse(story, "names no customer")

    def test_hold_after_the_end_of_the_sale_is_refused(self) -> None:
        for lock_ends, is_refused in ((0.9, False), (1.2, True)):
            story = Story(ends_at=1.0)
            story.lock("products", "1", 0.1, lock_ends)
            story.holds(lock_ends + 0.01)
            if is_refused:
                self.refuse(story, "after the sale had ended")
            else:
                self.accept(story)

    def test_hold_before_the_sale_is_refused(self) -> None:
        story = Story(starts_at=1.0)
        story.holds(0.9)
        self.refuse(story, "before the sale starts")

    def test_time_to_live_that_begins_before_the_wait_for_the_row_is_refused(self) -> None:
        story = Story()
        story.lock("products", "1", 0.1, 1.3)
        story.holds(1.31, expires=0.1 + HOLD_TTL)
        self.refuse(story, "lasts for")
        story = Story()
        story.lock("products", "1", 0.1, 1.3)
        story.holds(1.31, expires=1.301 + HOLD_TTL)
        self.accept(story)

    def test_wait_behind_another_transaction_counts_too(self) -> None:
        story = Story()
        story.commit(1.3, story.take(0), locked=0.2)
        story.holds(1.301, expires=0.1 + HOLD_TTL, locked=1.3005)
        self.refuse(story, "lasts for")

    def test_hold_that_ends_before_its_time_or_twice_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.commit(1, story.hold(status="expired"), story.take(-1))
        self.refuse(story, "before its time")
        story.commit(3, story.hold(status="released"), story.take(0))
        self.refuse(story, "was expired, then released")

    def test_release_after_its_time_is_refused(self) -> None:
        for lock_ends, is_refused in ((1.9, False), (2.1, True)):
            story = Story()
            story.holds(0)
            story.lock("holds", HOLD, 0.5, lock_ends)
            story.commit(lock_ends + 0.01, story.hold(status="released"), story.take(-1))
            story.call("release", 0.6, lock_ends + 0.02, {"hold_id": HOLD}, 200, {"hold_id": HOLD, "status": "released"})
            if is_refused:
                self.refuse(story, "released after its time")
            else:
                self.accept(story)

    def test_order_after_its_holds_time_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.places(2.5)
        self.refuse(story, "after its hold's time")

    def test_order_by_a_clock_from_before_the_wait_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.lock("holds", HOLD, 1, 1.9)
        story.places(1.91, created=1.1)
        self.refuse(story, "before the hold's row could be had")

    def test_hold_that_lapses_while_it_is_being_ordered_counts_for_the_limit(self) -> None:
        for limit, is_refused in ((2, False), (1, True)):
            story = Story(max_per_customer=limit)
            story.holds(0, customer="c")
            story.holds(HOLD_TTL + 0.01, "hold_b", customer="c")
            story.places(HOLD_TTL + 0.02, created=HOLD_TTL - 0.01)
            if is_refused:
                self.refuse(story, "that was being ordered, above the limit of 1")
            else:
                self.accept(story)

    def test_what_runs_out_late_is_refused_unless_the_harness_has_locked_its_product(self) -> None:
        for undisturbed in ((1,), ()):
            story = Story()
            story.undisturbed = undisturbed
            story.holds(0)
            story.places(1)
            story.expires(0.999 + ORDER_TTL + 1.1)
            if undisturbed:
                self.refuse(story, "after its time")
            else:
                self.accept(story)


class PaymentTests(StoryTests):
    def expired(self, stock: int = 5, customer: str | None = None, **product: Any) -> Story:
        """A story with an order that has expired at 4.5."""
        story = Story(stock, **product)
        story.holds(0, customer=customer)
        story.places(1)
        story.expires(4.5)
        return story

    def test_each_verdict_of_the_table_is_accepted(self) -> None:
        story = self.expired()
        story.pays(5, "wrong", "amount_mismatch", "expired", amount=101)
        story.pays(6, "failed", "ignored", "expired", status="failed")
        story.pays(7, "late", "reacquired", "paid", story.order(status="paid"), story.take(1))
        story.pays(8, "twice", "refund_due", "paid")
        story.asks_pay(9, 9.1, "late", 200, "reacquired", "paid", replay=True)
        self.accept(story)

    def test_verdict_that_does_not_fit_the_state_is_refused(self) -> None:
        for verdict, status in (
                ("applied", "paid"), ("ignored", "expired"), ("amount_mismatch", "expired"), ("parked", None)):
            story = self.expired()
            rows = [story.order(status="paid"), story.take(1)] if status == "paid" else []
            story.pays(5, "p", verdict, status, *rows)
            self.refuse(story, "payment event p, success on order_a that is expired")

    def test_wrong_amount_that_pays_an_order_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.pays(2, "p", "applied", "paid", story.order(status="paid"), amount=101)
        self.refuse(story, "payment event p, success on order_a that is pending_payment, is applied")

    def test_order_that_changes_without_a_payment_is_refused(self) -> None:
        story = self.expired()
        story.commit(5, story.order(status="paid"), story.take(1))
        self.refuse(story, "by its payments it is expired")

    def test_order_that_expires_before_it_is_due_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.places(1)
        story.expires(2)
        self.refuse(story, "before it was due")

    def test_late_payment_above_the_limit_is_refused(self) -> None:
        story = self.expired(customer="c", max_per_customer=1)
        story.holds(5, "hold_b", customer="c")
        story.pays(5.5, "p", "reacquired", "paid", story.order(status="paid"), story.take(1))
        self.refuse(story, "through a late payment, above the limit of 1")

    def test_new_order_keeps_the_units_of_its_hold_above_a_lowered_limit(self) -> None:
        story = Story(max_per_customer=2)
        story.holds(0, quantity=2, customer="c")
        story.pays(0.5, "failed", "parked", None, status="failed")
        story.pays(0.6, "paid", "parked", None)
        story.commit(0.7, story.product(max_per_customer=1))
        story.places(1, ORDER, 2, None, "paid", story.event("failed", verdict="applied", order_status="cancelled"),
                     story.event("paid", verdict="reacquired", order_status="paid"))
        self.accept(story)

    def test_late_payment_is_given_back_for_the_limit_or_the_stock_only(self) -> None:
        story = self.expired(customer="c", max_per_customer=1)
        story.holds(5, "hold_b", customer="c")
        story.pays(5.5, "p", "refund_due", "expired")
        self.accept(story)
        story = self.expired(customer="c", max_per_customer=2)
        story.holds(5, "hold_b", customer="c")
        story.pays(5.5, "p", "refund_due", "expired")
        self.refuse(story, "could have been paid")
        story = self.expired(stock=1)
        story.holds(5, "hold_b")
        story.pays(5.5, "p", "refund_due", "expired")
        self.accept(story)
        story = self.expired(stock=1)
        story.holds(5, "hold_b")
        story.pays(7.5, "p", "refund_due", "expired")  # what is held has lapsed
        self.refuse(story, "could have been paid")

    def parked(self, status: str = "success") -> Story:
        story = Story()
        story.holds(0)
        story.pays(0.5, "p", "parked", None, status=status)
        return story

    def test_parked_payment_is_applied_when_its_order_is_placed(self) -> None:
        story = self.parked()
        story.places(1, ORDER, 1, None, "paid", story.event("p", verdict="applied", order_status="paid"))
        self.accept(story)
        story = self.parked()
        story.places(1)
        self.refuse(story, "its parked events were not applied")

    def test_parked_payment_that_vanishes_is_refused(self) -> None:
        story = self.parked()
        story.commit(6, ("payment_events", "p", None))
        self.refuse(story, "payment event p is gone", "pay was answered 202: an acknowledged payment event is not in the database")

    def test_parked_failure_is_removed_after_its_time(self) -> None:
        story = self.parked("failed")
        story.commit(0.5 + PARKED_TTL + 0.1, ("payment_events", "p", None))
        self.accept(story)
        story = self.parked("failed")
        story.commit(0.5 + PARKED_TTL - 0.1, ("payment_events", "p", None))
        self.refuse(story, "was kept for")

    def test_parked_payment_becomes_refund_due_after_its_time(self) -> None:
        for time, is_refused in ((PARKED_TTL - 0.1, True), (PARKED_TTL + 0.1, False)):
            story = self.parked()
            story.commit(0.5 + time, story.event("p", verdict="refund_due"))
            if is_refused:
                self.refuse(story, "is refund_due, and there is no order_a")
            else:
                self.accept(story)

    def test_parked_payment_that_is_forgotten_is_refused(self) -> None:
        story = self.parked()
        story.commit(20, story.take(0))
        self.refuse(story, "is parked for")

    def test_settled_payment_that_is_applied_is_refused(self) -> None:
        story = self.parked()
        story.commit(0.6, story.event("p", settled_at=0.6))
        story.call("settle", 0.5, 0.7, {"idempotency_key": "p"}, 200, {})
        self.accept(story)
        story.places(1, ORDER, 1, None, "paid", story.event("p", verdict="applied", order_status="paid"))
        self.refuse(story, "was settled while it was parked")

    def test_event_that_says_another_status_is_refused(self) -> None:
        story = self.expired()
        story.pays(5, "p", "ignored", "cancelled", status="failed")
        self.refuse(story, "says that order_a is cancelled, which is expired")


class AnswerTests(StoryTests):
    def test_stale_answers_are_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.call("read_hold", 2.5, 2.6, {"hold_id": HOLD}, 200, {"status": "active"})
        self.refuse(story, "read_hold was answered 200: hold_a was active")
        story = Story()
        story.holds(0)
        story.places(1)
        story.call("read_order", 1.1, 1.2, {"order_id": ORDER}, 404, problem("not-found"))
        self.refuse(story, "read_order was answered 404")

    def test_answers_of_either_side_of_a_change_are_accepted(self) -> None:
        for status in ("active", "ordered"):
            story = Story()
            story.holds(0)
            story.places(1)
            story.call("read_hold", 0.995, 1.005, {"hold_id": HOLD}, 200, {"status": status})
            self.accept(story)

    def test_refusal_for_want_of_stock_has_to_be_true(self) -> None:
        for available, held, release, start, is_refused in (
                (0, 1, HOLD_TTL, 0.1, False), (1, 0, None, 2.1, False), (1, 0, None, 0.1, True), (0, 1, HOLD_TTL, 2.1, True),
                (0, 0, HOLD_TTL, 0.1, True), (0, 1, None, 0.1, True), (0, 1, HOLD_TTL + 0.1, 0.1, True)):
            story = Story(stock=1)
            story.holds(0)
            story.asks_hold(start, start + 0.1, 2, None, 409, problem(
                "insufficient-stock", available_stock=available, held_stock=held,
                next_release_at=None if release is None else text(release)), retry_after=None if release is None else 1)
            if is_refused:
                self.refuse(story, "insufficient-stock: it was never so")
            else:
                self.accept(story)

    def test_order_may_commit_between_the_look_and_the_commit_of_a_refusal(self) -> None:
        for held, release, is_refused in (
                (3, HOLD_TTL, False), (2, 1.1 + HOLD_TTL, False), (1, HOLD_TTL, True), (3, 1.8, True)):
            story = Story(stock=3)
            story.holds(0)
            story.places(1.05)
            story.holds(1.1, "hold_b", 2, locked=1.02)
            story.asks_hold(1.01, 1.12, 1, None, 409, problem(
                "insufficient-stock", available_stock=0, held_stock=held, next_release_at=text(release)))
            if is_refused:
                self.refuse(story, "insufficient-stock: it was never so")
            else:
                self.accept(story)

    def test_product_that_was_never_so_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.reads(0.1, 0.2, 4)
        self.accept(story)
        story.reads(0.1, 0.2, 5)
        self.refuse(story, "product was answered 200")

    def test_status_of_a_product_says_whether_units_may_come_back(self) -> None:
        for status, window, is_refused in (
                ("reserved_out", {}, False), ("sold_out", {}, True), ("on_sale", {}, True),
                ("ended", {"ends_at": 0.05}, False), ("upcoming", {"ends_at": 0.05}, True)):
            story = Story(stock=1, **window)
            story.holds(0)
            story.reads(0.1, 0.2, 0, status, total_stock=1)
            if is_refused:
                self.refuse(story, "product was answered 200")
            else:
                self.accept(story)

    def test_refusal_for_the_limit_has_to_be_true(self) -> None:
        for quantity, is_refused in ((1, False), (0, True)):
            story = Story(max_per_customer=1)
            if quantity:
                story.holds(0, customer="c")
            story.asks_hold(0.1, 0.2, 1, "c", 409, problem("customer-limit-reached", max_per_customer=1))
            if is_refused:
                self.refuse(story, "the customer had at most 0")
            else:
                self.accept(story)

    def test_refusal_for_the_window_has_to_be_true(self) -> None:
        for time, is_refused in ((1.1, False), (0.5, True)):
            story = Story(ends_at=1.0)
            story.asks_hold(time, time + 0.1, 1, None, 409, problem("sale-ended", ends_at=text(1.0)))
            if is_refused:
                self.refuse(story, "sale-ended: it was never so")
            else:
                self.accept(story)

    def test_refusal_for_the_quantity_has_to_be_true(self) -> None:
        for most, is_refused in ((1, False), (2, True)):
            story = Story(max_quantity_per_hold=most)
            story.asks_hold(0.1, 0.2, 2, None, 422, problem("validation", errors=[{"pointer": "/quantity"}]))
            if is_refused:
                self.refuse(story, "validation: it was never so")
            else:
                self.accept(story)

    def test_faults_need_a_cause(self) -> None:
        def fault(slug: str, status: int = 503) -> Story:
            story = Story()
            story.asks_hold(1, 2, 1, None, status, problem(slug))
            return story

        self.refuse(fault("overloaded"), "nobody had locked a row")
        story = fault("internal-error", 500)
        story.lock("products", "1", 0.5, 1.5)
        self.refuse(story, "no fault explains it")
        story = fault("database-unavailable")
        story.lock("products", "1", 0.5, 1.5)
        self.accept(story)
        story = fault("outcome-unknown")
        story.kills = [1.5]
        self.accept(story)

    def test_fresh_answer_about_an_old_hold_is_refused(self) -> None:
        story = Story()
        story.holds(0, key="k")
        story.calls[-1].start = story.calls[-1].end = ZERO + 0.5
        self.refuse(story, "it was made at")


class EffectTests(StoryTests):
    def test_hold_that_nobody_was_told_of_is_refused(self) -> None:
        for slug in ("overloaded", "outcome-unknown"):
            story = Story()
            story.kills = [0]
            story.holds(0)
            story.calls[-1].answered(503, problem(slug), False, 1)
            if slug == "overloaded":
                self.refuse(story, "at most 0 requests may have made them")
            else:
                self.accept(story)

    def test_key_that_stands_for_two_holds_is_refused(self) -> None:
        story = Story()
        story.holds(0, customer="c", key="k")
        story.holds(1, "hold_b", customer="c", key="k")
        self.refuse(story, "stands for 2 things", "told that they were the first")

    def test_customers_have_keys_of_their_own(self) -> None:
        story = Story()
        story.holds(0, customer="c", key="k")
        story.holds(1, "hold_b", customer="d", key="k")
        self.accept(story)
        story = Story()
        story.holds(0, customer="c", key="k")
        story.asks_hold(1, 1.1, 1, "d", 422, problem("idempotency-key-reused"), key="k")
        self.refuse(story, "this customer made none")

    def test_release_and_order_that_nobody_asked_for_are_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.commit(1, story.hold(status="released"), story.take(-1))
        self.refuse(story, "hold_a changed by release")
        story = Story()
        story.holds(0)
        story.places(1)
        story.calls.pop()
        self.refuse(story, "hold_a changed by order")

    def test_payment_that_was_refused_and_is_recorded_is_refused(self) -> None:
        story = Story()
        story.holds(0)
        story.kills = [0.5]
        story.pays(0.5, "p", "parked", None)
        story.calls[-1].answered(503, problem("overloaded"), False, 1)
        self.refuse(story, "p changed by pay, and its sender was refused")

    def test_restock_adds_once_under_a_key(self) -> None:
        story = Story()
        for time in (1, 2):
            story.commit(time, story.product(total_stock=lambda total: total + 2, available_stock=lambda stock: stock + 2))
            story.call("restock", time - 0.1, time + 0.1, {"product_id": 1, "delta": 2}, 200, {}, key=f"r{time}")
        self.accept(story)
        story.calls[-1].key = "r1"
        self.refuse(story, "changed by +2 2 times")

    def test_much_of_one_kind_is_told_by_a_few(self) -> None:
        lines = [f"payment event p-{number} is gone (transaction {number})" for number in range(100)]
        shown = some_of_each_kind([*lines, "another"])
        self.assertEqual((len(shown), shown[5][:12], shown[6]), (7, "and 95 more ", "another"))


if __name__ == "__main__":
    unittest.main()
