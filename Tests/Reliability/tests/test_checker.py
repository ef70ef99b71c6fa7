"""The checker accepts what can be explained and nothing else. Run with: python3 -m unittest, in Tests/Reliability."""

import itertools
import random
import unittest
from datetime import datetime, timezone
from math import inf
from typing import Any

from reliability import checker
from reliability.database import Database, EventRow, HoldRow, KeyRow, OrderRow
from reliability.history import Call, History, Outcome
from reliability.linearize import Change, Look, find_contradiction

HOLD_TTL, ORDER_TTL = 3.0, 5.0
ZERO = 1_800_000_000.0


def is_possible(value: int, *operations: Change | Look) -> bool:
    return find_contradiction(value, operations) is None


class RegisterTests(unittest.TestCase):
    def test_a_read_sees_what_was_taken_before_it(self) -> None:
        self.assertTrue(is_possible(5, Change(-2, 0, 1), Look(2, 3, 3)))
        self.assertFalse(is_possible(5, Change(-2, 0, 1), Look(2, 3, 5)))

    def test_a_read_may_come_before_or_after_what_overlaps_it(self) -> None:
        for value, is_explained in ((5, True), (3, True), (4, False)):
            self.assertEqual(is_possible(5, Change(-2, 0, 2), Look(1, 3, value)), is_explained)

    def test_two_reads_one_after_the_other_do_not_go_back(self) -> None:
        taken = (-2, 0, 10)
        self.assertTrue(is_possible(5, Change(*taken), Look(1, 2, 5), Look(3, 4, 3)))
        self.assertFalse(is_possible(5, Change(*taken), Look(1, 2, 3), Look(3, 4, 5)))

    def test_no_more_is_taken_than_there_is(self) -> None:
        self.assertFalse(is_possible(1, Change(-1, 0, 2), Change(-1, 1, 3)))
        self.assertTrue(is_possible(1, Change(-1, 0, 2), Change(-1, 1, 3), Change(1, 0, 5)))
        self.assertFalse(is_possible(1, Change(-1, 0, 2), Change(-1, 1, 3), Change(1, 4, 5)))

    def test_a_refusal_needs_a_moment_with_too_little(self) -> None:
        self.assertTrue(is_possible(5, Change(-4, 0, 2), Look(1, 3, 1, below=2)))
        self.assertFalse(is_possible(5, Change(-4, 4, 5), Look(1, 3, 1, below=2)))
        self.assertFalse(is_possible(5, Look(1, 3, 5, below=5)))

    def test_what_nobody_was_told_happens_at_any_time_or_never_in_time(self) -> None:
        self.assertTrue(is_possible(5, Change(-2, 0), Look(50, 51, 5), Look(52, 53, 3)))
        self.assertFalse(is_possible(5, Change(-2, 0), Look(50, 51, 3), Look(52, 53, 5)))

    def test_an_earlier_change_serves_a_read_that_ends_later(self) -> None:
        # The long one has to come first, else nobody sees 3.
        self.assertTrue(is_possible(5, Change(-1, 0, 2), Change(-2, 0, 20), Look(0, 10, 3)))

    def test_units_that_were_held_come_back_at_their_time(self) -> None:
        lapses = lambda: Change(-2, 0, 3, is_undone_at_end=True)  # noqa: E731
        self.assertTrue(is_possible(2, lapses(), Look(1, 2, 0), Look(4, 5, 2)))
        self.assertFalse(is_possible(2, lapses(), Look(4, 5, 0)))
        self.assertFalse(is_possible(2, lapses(), Look(1, 2, 0), Change(-1, 2, 2.5)))
        self.assertTrue(is_possible(2, lapses(), Look(1, 2, 0), Change(-1, 2, 3.5)))

    def test_units_that_only_pass_cannot_be_sold(self) -> None:
        passing = lambda: Change(2, 0, 3, is_undone_at_end=True, is_passing=True)  # noqa: E731
        self.assertTrue(is_possible(0, passing(), Look(1, 2, 2), Look(4, 5, 0)))
        self.assertFalse(is_possible(0, passing(), Change(-2, 1, 2)))

    def test_what_depends_on_another_comes_after_it(self) -> None:
        given = Change(3, 0, 10)
        self.assertFalse(is_possible(0, given, Change(-3, 0, 10, after=given), Change(-3, 0, 9)))
        given = Change(3, 0, 10)
        self.assertTrue(is_possible(3, given, Change(-3, 0, 10, after=given), Change(-3, 0, 9)))

    def test_the_search_finds_what_trying_all_orders_finds(self) -> None:
        rng = random.Random(1)
        outcomes = set()
        for number in range(1500):
            start = rng.randrange(4)
            operations: list[Change | Look] = []
            for _ in range(rng.randrange(2, 7)):
                begin = rng.randrange(8)
                end = begin + rng.randrange(5)
                if rng.random() < 0.5:
                    operations.append(Change(rng.choice((-2, -1, -1, 1, 2)), begin, end))
                elif rng.random() < 0.8:
                    operations.append(Look(begin, end, rng.randrange(5)))
                else:
                    operations.append(Look(begin, end, below=rng.randrange(1, 5)))
            expected = any(explains(order, start) for order in itertools.permutations(operations))
            self.assertEqual(find_contradiction(start, operations) is None, expected, (number, start, operations))
            outcomes.add(expected)
        self.assertEqual(outcomes, {True, False})

    def test_a_stop_of_everything_is_decided_quickly(self) -> None:
        # Thirty buyers and eight readers wait for the same three seconds: more than 10^40 orders.
        for last, is_explained in ((140, True), (141, False)):
            operations: list[Change | Look] = [
                Change(-quantity, 0.01 * n, 3 + 0.01 * n) for quantity in (1, 2, 3) for n in range(10)]
            operations += [Look(0.1 * n, 3 + 0.02 * n, 200 - n) for n in range(8)]
            self.assertEqual(is_possible(200, *operations, Look(5, 6, last)), is_explained)

    def test_what_cannot_be_explained_is_shown_with_what_went_on(self) -> None:
        contradiction = find_contradiction(5, [Change(-2, 0, 1, "two held"), Look(2, 3, 5, label="a stale read")])
        self.assertIn("a stale read <-- no order explains this", str(contradiction))
        self.assertIn("two held", str(contradiction))
        self.assertIn("there may have been: 3", str(contradiction))


def explains(order: tuple[Change | Look, ...], value: int) -> bool:
    """Whether the operations, in this order, agree with their bounds and with each other."""
    latest = -inf
    for operation in order:
        latest = max(latest, operation.begin)
        if latest > operation.end:
            return False
        if isinstance(operation, Change):
            value += operation.amount
            if value < 0:
                return False
        elif not operation.sees(value):
            return False
    return True


class Story:
    """A history with its database, told step by step; times are seconds after ZERO."""

    def __init__(self, stock: int = 10) -> None:
        self.calls: list[Call] = []
        self.database = Database({1: stock}, {1: 500}, {})

    def call(self, operation: str, start: float, end: float, request: dict[str, Any], status: int,
             answer: dict[str, Any], key: str | None = None, is_replay: bool = False) -> Call:
        call = Call(0, 0, operation, 1, request, key, ZERO + start, ZERO + end, start, end)
        if status:
            call.answered(status, answer, is_replay)
        self.calls.append(call)
        return call

    def hold(self, name: str, start: float, end: float, quantity: int = 1, status: str = "expired", code: int = 201,
             key: str | None = None, is_replay: bool = False, is_there: bool = True) -> Call:
        expires = ZERO + round((start + end) / 2 + HOLD_TTL, 3)
        if is_there:
            self.database.holds[f"hold_{name}"] = HoldRow(1, f"hold_{name}", quantity, status, expires, name)
        answer = {"hold_id": f"hold_{name}", "product_id": 1, "quantity": quantity, "status": "active",
                  "expires_at": rfc3339(expires)} if code == 201 else {}
        return self.call("hold", start, end, {"product_id": 1, "quantity": quantity, "customer_id": name}, code, answer,
                         key, is_replay)

    def order(self, name: str, start: float, end: float, status: str = "pending_payment", quantity: int = 1,
              told: str = "pending_payment", changed: float = 0) -> Call:
        created = ZERO + round((start + end) / 2, 3)
        self.database.holds[f"hold_{name}"].status = "ordered"
        self.database.orders[f"order_{name}"] = OrderRow(
            1, f"order_{name}", quantity, 500 * quantity, "USD", status, created + ORDER_TTL, created, ZERO + changed)
        return self.call("order", start, end, {"hold_id": f"hold_{name}"}, 201, {
            "order_id": f"order_{name}", "hold_id": f"hold_{name}", "product_id": 1, "quantity": quantity,
            "amount": 500 * quantity, "currency": "USD", "status": told, "payment_due_at": rfc3339(created + ORDER_TTL),
            "created_at": rfc3339(created)})

    def pay(self, key: str, name: str, start: float, end: float, status: str, verdict: str, becomes: str | None,
            code: int = 200, told: str | None = None, is_there: bool = True) -> Call:
        received = ZERO + (start + end) / 2
        if is_there:
            self.database.events[key] = EventRow(
                key, f"order_{name}", status, None, None, verdict, becomes, received, received)
        answer = {"verdict": told or verdict, "order_status": becomes if told is None else None} if code else {}
        return self.call("pay", start, end, {"idempotency_key": key, "order_id": f"order_{name}", "status": status},
                         code, answer)

    def read(self, start: float, end: float, value: int) -> Call:
        return self.call("product", start, end, {"product_id": 1}, 200, {"id": 1, "available_stock": value})

    def read_hold(self, name: str, start: float, end: float, status: str) -> Call:
        return self.call("read_hold", start, end, {"hold_id": f"hold_{name}"}, 200, {"status": status})

    def read_order(self, name: str, start: float, end: float, status: str) -> Call:
        return self.call("read_order", start, end, {"order_id": f"order_{name}"}, 200, {"status": status})

    def violations(self) -> list[str]:
        history = History()
        for call in self.calls:
            history.add(call)
        return checker.check(history, self.database, HOLD_TTL, ORDER_TTL)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


class CheckerTests(unittest.TestCase):
    def assert_fine(self, story: Story) -> None:
        self.assertEqual(story.violations(), [])

    def assert_found(self, story: Story, words: str) -> None:
        violations = story.violations()
        self.assertTrue(any(words in violation for violation in violations), violations)

    def test_a_hold_that_lapses_comes_back_at_once(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, quantity=3)
        story.read(1, 1.1, 7)
        story.read(3.1, 3.2, 10)
        self.assert_fine(story)
        story.read(3.3, 3.4, 7)
        self.assert_found(story, "cannot be linearized")

    def test_an_acknowledged_hold_is_there(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, is_there=False)
        self.assert_found(story, "an acknowledged hold is not in the database")

    def test_a_hold_lasts_as_long_as_it_should(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.database.holds["hold_a"].expires_at += 3600
        story.calls[0].answer["expires_at"] = rfc3339(story.database.holds["hold_a"].expires_at)
        self.assert_found(story, "lasts until")

    def test_a_hold_without_an_answer_may_be_there_or_not(self) -> None:
        for is_there in (True, False):
            story = Story()
            story.hold("a", 0, 0.01, quantity=2, code=0, is_there=is_there)
            story.read(1, 1.1, 8 if is_there else 10)
            self.assert_fine(story)

    def test_a_hold_without_an_answer_is_not_there_twice(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, code=0)
        story.hold("b", 0, 0.01, code=0)
        story.database.holds["hold_b"].customer = "a"
        story.calls.pop()
        self.assert_found(story, "2 holds for one request")

    def test_a_call_that_did_nothing_left_nothing(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, code=0)
        story.calls[0].answered(503, {"type": "/problems/database-unavailable"}, False)
        self.assertEqual(story.calls[0].outcome, Outcome.NOTHING)
        self.assert_found(story, "or was refused or told that nothing was done")

    def test_nobody_is_refused_for_what_they_did_themselves(self) -> None:
        for is_order in (False, True):
            story = Story()
            call = story.hold("a", 0, 0.01)
            problem = "insufficient-stock"
            if is_order:
                call, problem = story.order("a", 1, 1.1, status="expired"), "hold-already-ordered"
            call.answered(409, {"type": f"/problems/{problem}", "available_stock": 0}, False)
            self.assert_found(story, "was refused or told that nothing was done")

    def test_what_the_contract_does_not_know_is_no_answer(self) -> None:
        for operation, status, problem in (("product", 500, "internal-error"), ("order", 422, "customer-required")):
            story = Story()
            story.call(operation, 0, 1, {"product_id": 1}, status, {"type": f"/problems/{problem}"})
            self.assert_found(story, f"1 times {operation} was answered {status} {problem}")

    def test_a_key_is_there_with_what_it_made(self) -> None:
        story = Story()
        story.hold("a", 0, 0.02, key="k")
        self.assert_found(story, "key k of product 1 is not in the database")
        for id in ("hold_a", "hold_b"):
            story.database.keys[1, "k"] = KeyRow(1, "k", "reserve_hold", id)
            (self.assert_fine if id == "hold_a" else lambda story: self.assert_found(story, "leads to hold_b"))(story)
        story.database.keys[1, "l"] = KeyRow(1, "l", "reserve_hold", "hold_a")
        self.assert_found(story, "key l of product 1 is in the database, and nobody")

    def test_a_hold_is_told_as_it_is(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, quantity=2)
        story.calls[0].answer["quantity"] = 1
        self.assert_found(story, "a hold is not what was said")

    def test_ids_do_not_repeat(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.hold("a", 0.02, 0.03)
        self.assert_found(story, "2 calls were told that they made the hold")

    def test_a_key_stands_for_one_hold(self) -> None:
        story = Story()
        story.hold("a", 0, 0.02, key="k")
        again = story.call("hold", 1, 1.1, story.calls[0].request, 201, story.calls[0].answer, "k", is_replay=True)
        story.database.keys[1, "k"] = KeyRow(1, "k", "reserve_hold", "hold_a")
        self.assert_fine(story)
        other = story.hold("b", 1.2, 1.3, key="k", is_replay=True)
        other.request = dict(again.request)
        self.assert_found(story, "stands for 2 things")

    def test_a_replay_repeats_an_earlier_request(self) -> None:
        story = Story()
        story.hold("a", 0, 0.02, key="k", is_replay=True)
        story.database.keys[1, "k"] = KeyRow(1, "k", "reserve_hold", "hold_a")
        self.assert_found(story, "a replay of what nobody had asked before")
        story.calls[0].key = None
        self.assert_found(story, "a replay without a key")

    def test_a_released_hold_gives_back_once(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, quantity=3, status="released")
        for start in (1.0, 1.5):
            story.call("release", start, start + 0.1, {"hold_id": "hold_a"}, 200, {"status": "released"})
        story.read(2, 2.1, 10)
        self.assert_fine(story)
        story.read(2.2, 2.3, 13)
        self.assert_found(story, "cannot be linearized")

    def test_a_hold_does_not_come_alive_again(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.read_hold("a", 3.1, 3.2, "expired")
        self.assert_fine(story)
        story.read_hold("a", 3.3, 3.4, "active")
        self.assert_found(story, "reads active after it was expired")

    def test_a_hold_that_is_ordered_does_not_expire(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.order("a", 1, 1.1, status="paid")
        story.pay("p", "a", 2, 2.1, "success", "applied", "paid")
        story.read(4, 4.1, 9)
        self.assert_fine(story)
        story.read_hold("a", 2, 2.1, "expired")
        self.assert_found(story, "is said to be expired")

    def test_a_hold_is_not_ordered_after_its_time(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.order("a", 4, 4.1)
        self.assert_found(story, "ordered after its time")

    def test_who_is_told_that_nothing_was_done_has_done_nothing(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        order = story.order("a", 1, 1.1, status="expired")
        order.answered(503, {"type": "/problems/overloaded"}, False)
        self.assert_found(story, "whoever asked for that was refused or told that nothing was done")

    def test_a_failed_payment_gives_back_once(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01, quantity=2)
        story.order("a", 1, 1.1, status="cancelled", quantity=2)
        story.pay("p", "a", 2, 2.1, "failed", "applied", "cancelled")
        story.read(2.5, 2.6, 10)
        self.assert_fine(story)
        story.read(2.7, 2.8, 12)
        self.assert_found(story, "cannot be linearized")

    def test_an_unpaid_order_expires_some_time_after_it_was_due(self) -> None:
        for start, value, is_explained in ((5, 8, True), (6.5, 10, True), (7, 8, True), (5, 10, False)):
            story = Story()
            story.hold("a", 0, 0.01, quantity=2)
            story.order("a", 1, 1.1, status="expired", quantity=2)
            story.read(start, start + 0.01, value)
            self.assertEqual(not story.violations(), is_explained, (start, value))

    def test_a_late_success_takes_the_units_again(self) -> None:
        story = Story(stock=3)
        story.hold("a", 0, 0.01, quantity=2)
        story.order("a", 1, 1.1, status="paid", quantity=2)
        story.pay("f", "a", 2, 2.1, "failed", "applied", "cancelled")
        story.read(2.5, 2.6, 3)
        story.pay("s", "a", 3, 3.1, "success", "reacquired", "paid")
        story.read(3.5, 3.6, 1)
        self.assert_fine(story)

    def test_a_late_success_is_refused_only_if_too_little_is_left(self) -> None:
        for is_bought in (True, False):
            story = Story(stock=2)
            story.hold("a", 0, 0.01, quantity=2)
            story.order("a", 1, 1.1, status="cancelled", quantity=2)
            story.pay("f", "a", 2, 2.1, "failed", "applied", "cancelled")
            if is_bought:
                story.hold("b", 2.5, 2.6)
            story.pay("s", "a", 3, 3.1, "success", "refund_due", "cancelled")
            self.assertEqual(story.violations() == [], is_bought)

    def test_a_second_success_is_money_to_give_back(self) -> None:
        for verdict, is_explained in (("refund_due", True), ("ignored", False), ("applied", False)):
            story = Story()
            story.hold("a", 0, 0.01)
            story.order("a", 1, 1.1, status="paid")
            story.pay("p", "a", 2, 2.1, "success", "applied", "paid")
            story.pay("q", "a", 2.05, 2.2, "success", verdict, "paid")
            self.assertEqual(not story.violations(), is_explained, verdict)

    def test_a_paid_order_stays_paid(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.order("a", 1, 1.1, status="paid")
        story.pay("p", "a", 2, 2.1, "success", "applied", "paid")
        story.read_order("a", 2.5, 2.6, "pending_payment")
        self.assert_found(story, "has no explanation")

    def test_an_event_before_its_order_is_applied_with_it(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.pay("p", "a", 0.5, 0.6, "success", "applied", "paid", code=202, told="parked")
        story.order("a", 1, 1.1, status="paid", told="paid")
        self.assert_fine(story)
        story.calls[-1].answer["status"] = "pending_payment"
        self.assert_found(story, "has no explanation")

    def test_an_acknowledged_payment_is_there(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.order("a", 1, 1.1, status="expired")
        story.pay("p", "a", 2, 2.1, "success", "applied", "paid", is_there=False)
        self.assert_found(story, "an acknowledged payment event is not in the database")

    def test_every_answer_to_an_event_is_what_is_recorded(self) -> None:
        story = Story()
        story.hold("a", 0, 0.01)
        story.order("a", 1, 1.1, status="paid")
        story.pay("p", "a", 2, 2.1, "success", "applied", "paid").is_replay = True
        answer = story.pay("p", "a", 2, 2.1, "success", "applied", "paid").answer
        self.assert_fine(story)
        answer["verdict"] = "refund_due"
        self.assert_found(story, "got the verdict refund_due")

    def test_a_clock_that_was_set_proves_nothing(self) -> None:
        story = Story()
        story.read(0, 0.1, 10)
        story.read(1, 1.1, 10).start_monotonic += 1
        self.assert_found(story, "clock was set")


if __name__ == "__main__":
    unittest.main()
