"""What long and costly modes judge by can fail. Run with: python3 -m unittest, in Tests/Reliability."""

import dataclasses
import unittest
from collections import Counter
from pathlib import Path

from harness.wrk import Sample
from reliability import attack, frozen, soak, trial
from reliability.history import Call, History, failures
from reliability.processes import Server

STEADY = {
    soak.RATE: 1000, soak.P99: 10, soak.FAILED: 0, soak.MEMORY: 50, soak.DESCRIPTORS: 80,
    "idempotency_keys MB, most": 8, "holds MB, most": 100, "holds_given_back MB, most": 4, "holds bytes a row, most": 100,
    "holds_given_back bytes a row, most": 4,
}


class SoakTests(unittest.TestCase):
    def judge(self, name: str = "", value: float = 0, **others: float) -> list[str]:
        """Four quarters, of which the last differs."""
        changed = {name: value, **{name.replace("_MB", " MB, most"): value for name, value in others.items()}} if name else {}
        quarters = [soak.measures([STEADY] * 4)] * 3 + [soak.measures([STEADY | changed] * 4)]
        return soak.judge(quarters, rate=1000)

    def test_steady_state_is_fine(self) -> None:
        self.assertEqual(self.judge(), [])

    def test_memory_that_grows_is_noticed(self) -> None:
        self.assertIn("memory", self.judge(soak.MEMORY, 53)[0])

    def test_descriptors_that_leak_are_noticed(self) -> None:
        self.assertIn("descriptors", self.judge(soak.DESCRIPTORS, 100)[0])

    def test_table_that_grows_is_noticed(self) -> None:
        self.assertIn("idempotency_keys", self.judge("idempotency_keys MB, most", 10)[0])

    def test_index_that_grows_is_noticed(self) -> None:
        self.assertIn("holds_given_back", self.judge("holds_given_back bytes a row, most", 5)[0])

    def test_table_that_keeps_what_was_sold_may_grow_by_rows(self) -> None:
        self.assertEqual(self.judge("holds MB, most", 200), [])
        self.assertIn("holds bytes a row", self.judge("holds bytes a row, most", 200, holds_MB=200)[0])

    def test_requests_that_fail_or_are_not_made_are_noticed(self) -> None:
        self.assertIn("not answered", self.judge(soak.FAILED, 1)[0])
        self.assertIn("not 1,000", self.judge(soak.RATE, 900)[0])

    def test_latency_that_grows_is_noticed(self) -> None:
        self.assertIn("p99", self.judge(soak.P99, 14)[0])


class AttackTests(unittest.TestCase):
    def judge(self, parts: tuple[str, ...] = attack.BEARABLE, gone: float | None = 1, **attacked: object) -> list[str]:
        """Of a sale that the attack takes nothing from, but for what is given."""
        seen = {name: attack.Seen(rates=[100.0, 110.0], held=1000, gone=[gone])
                for name in (attack.ALONE, attack.ELSEWHERE, attack.ATTACKED, attack.AFTERWARDS)}
        seen[attack.ATTACKED] = dataclasses.replace(seen[attack.ATTACKED], **attacked)
        return attack.judge(seen, parts, idle=100)

    def test_sale_that_goes_on_is_fine(self) -> None:
        self.assertEqual(self.judge(newcomers=[0.1], memory_mb=300, descriptors=5000), [])

    def test_honest_rate_that_is_lost_is_noticed(self) -> None:
        self.assertIn("of the honest rate", self.judge(rates=[40.0, 40.0])[0])
        self.assertEqual(self.judge(("connects",), rates=[40.0, 40.0]), [])

    def test_honest_requests_that_fail_are_noticed(self) -> None:
        self.assertIn("11 honest requests", self.judge(samples=[Sample(1, {}, faults=11)])[0])
        self.assertIn("1 of 2 who came anew", self.judge(newcomers=[0.1, None])[0])

    def test_memory_and_descriptors_have_bounds(self) -> None:
        self.assertIn("MB were resident", self.judge(memory_mb=401)[0])
        self.assertIn("descriptors were open", self.judge(descriptors=10_165)[0])
        self.assertIn("after an attack", self.judge(gone=None)[0])

    def test_attack_that_is_too_small_or_is_not_refused_is_noticed(self) -> None:
        sent = Counter({"connected": 900, "seconds": 1})
        self.assertIn("only 900 malformed", self.judge(told={"malformed": sent})[0])
        sent = Counter({"connected": 1000, "seconds": 1, "unexpected: 201 to b'HELO'": 2})
        self.assertIn("2 unexpected", self.judge(told={"malformed": sent})[0])


class FrozenTests(unittest.TestCase):
    def service(self, returned_at: float, served_after: float | None, *statuses: int) -> list[str]:
        """Of a history with these answers, a call a second from 0 on."""
        history = History()
        for second, status in enumerate(statuses):
            history.add(Call(0, 0, "hold", 1, {}, start_monotonic=second, end_monotonic=second + 0.1, status=status))
        return frozen.service(history, returned_at, served_after)

    def test_failures_until_shortly_after_the_return_are_fine(self) -> None:
        self.assertEqual(self.service(-5, 1, 503, 201, 409), [])

    def test_calls_that_fail_after_the_return_are_noticed(self) -> None:
        for status in (503, 0):
            self.assertIn("1 calls failed", self.service(-5.5, 1, status, 201)[0])

    def test_service_that_does_not_return_in_time_is_noticed(self) -> None:
        for served_after in (5.1, None):
            self.assertIn("did not return", self.service(0, served_after, 201)[0])


class CrowdTests(unittest.TestCase):
    def failures(self, may_be_refused: bool, **call: object) -> list[str]:
        return failures([Call(0, 0, "hold", 1, {}, **call), Call(0, 0, "hold", 1, {}, status=201)], may_be_refused)

    def test_requests_without_a_proper_answer_are_noticed(self) -> None:
        for call in ({"fault": "connection lost"}, {"fault": "no answer in time"}, {"status": 503}, {"status": 500}):
            for may_be_refused in (True, False):
                self.assertEqual(len(self.failures(may_be_refused, **call)), 1, call)

    def test_refused_connections_are_noticed_unless_they_are_allowed(self) -> None:
        self.assertEqual(self.failures(False, fault="connection refused"), ["1 × hold: connection refused"])
        self.assertEqual(self.failures(True, fault="connection refused"), [])


class UnansweredTests(unittest.TestCase):
    def judge(self, fault: str, seconds: float = 1, ends: tuple[tuple[float, float], ...] = (), pauses: tuple[tuple[float, float], ...] = (),
              status: int = 0) -> list[str]:
        """A call that began at 10, on a connection that was made at 5."""
        server = Server(0, Path("."), "", {})
        server.ends, server.pauses = list(ends), list(pauses)
        history = History()
        history.add(Call(0, 0, "hold", 1, {}, fault=fault, connected=5, start_monotonic=10, end_monotonic=10 + seconds,
                         status=status))
        return trial.unanswered(history, [server])

    def test_lost_connection_is_noticed_unless_its_server_was_ended(self) -> None:
        self.assertIn("server0 was there", self.judge("connection lost")[0])
        self.assertEqual(len(self.judge("connection lost", ends=((4, 4.9), (12, 12)), pauses=((9, 12),))), 1)
        self.assertEqual(self.judge("connection lost", ends=((7, 7),)), [])
        # It takes a moment to be gone, in which it may be connected to.
        self.assertEqual(self.judge("connection lost", ends=((4.9, 5.1),)), [])

    def test_late_answer_is_noticed_unless_its_server_was_stopped(self) -> None:
        self.assertEqual(len(self.judge("no answer in time", 5.5, pauses=((5, 9),))), 1)
        self.assertEqual(len(self.judge("", 5.5, status=201)), 1)
        self.assertEqual(self.judge("", 4.5, status=503), [])
        self.assertEqual(self.judge("no answer in time", 5.5, pauses=((9, 11),)), [])

    def test_what_is_no_answer_is_noticed(self) -> None:
        self.assertIn("not an answer", self.judge("not an answer: Expecting value", ends=((10.5, 10.5),))[0])


if __name__ == "__main__":
    unittest.main()
