"""What long and costly modes judge by can fail. Run with: python3 -m unittest, in Tests/Reliability."""

import dataclasses
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

from harness.wrk import Sample
from reliability import attack, soak, trial
from reliability.history import Call, History, failures
from reliability.processes import Server

STEADY = {
    soak.RATE: 1000, soak.P99: 10, soak.FAILED: 0, soak.MEMORY: 50, soak.DESCRIPTORS: 80,
    "idempotency_keys MB, most": 8, "holds MB, most": 100, "holds_given_back MB, most": 4,
    "holds bytes a row, most": 100, "holds_given_back bytes a row, most": 4,
}
Interval = tuple[float, float]


class JudgementTests(unittest.TestCase):
    def judge(self, *cases: tuple[str, list[str], str]) -> None:
        """Each case is a sentence, violations, and words of the first of them; without words there must be none."""
        for sentence, violations, words in cases:
            with self.subTest(sentence):
                if words:
                    self.assertIn(words, " ".join(violations[:1]))
                else:
                    self.assertEqual(violations, [])

    def test_soak(self) -> None:
        def judge(name: str = "", value: float = 0, **others: float) -> list[str]:
            """Four quarters, of which the last differs."""
            changed = {name: value} if name else {}
            changed |= {name.replace("_MB", " MB, most"): value for name, value in others.items()}
            quarters = [soak.measures([STEADY] * 4)] * 3 + [soak.measures([STEADY | changed] * 4)]
            return [*soak.judge(quarters, rate=1000)]

        self.judge(
            ("a steady state is fine", judge(), ""),
            ("memory grows", judge(soak.MEMORY, 53), "memory"),
            ("descriptors leak", judge(soak.DESCRIPTORS, 100), "descriptors"),
            ("a table grows", judge("idempotency_keys MB, most", 10), "idempotency_keys"),
            ("an index grows", judge("holds_given_back bytes a row, most", 5), "holds_given_back"),
            ("a table that keeps what was sold may grow by rows", judge("holds MB, most", 200), ""),
            ("rows of what was sold grow", judge("holds bytes a row, most", 200, holds_MB=200), "holds bytes a row"),
            ("a request fails", judge(soak.FAILED, 1), "not answered"),
            ("requests are not made", judge(soak.RATE, 900), "not 1,000"),
            ("latency grows", judge(soak.P99, 14), "p99"))

    def test_attack(self) -> None:
        def judge(parts: tuple[str, ...] = attack.BEARABLE, gone: float | None = 1, **attacked: Any) -> list[str]:
            """Of a sale that the attack takes nothing from, but for what is given."""
            seen = {name: attack.Seen(rates=[100.0, 110.0], held=1000, gone=[gone])
                    for name in (attack.ALONE, attack.ELSEWHERE, attack.ATTACKED, attack.AFTERWARDS)}
            seen[attack.ATTACKED] = dataclasses.replace(seen[attack.ATTACKED], **attacked)
            return [*attack.judge(seen, parts, idle=100)]

        few = Counter({"connected": 900, "seconds": 1})
        accepted = Counter({"connected": 1000, "seconds": 1, "unexpected: 201 to b'HELO'": 2})
        self.judge(
            ("a sale that goes on is fine", judge(newcomers=[0.1], memory_mb=300, descriptors=5000), ""),
            ("the honest rate is lost", judge(rates=[40.0, 40.0]), "of the honest rate"),
            ("the honest rate is lost to what nobody can bear", judge(("connects",), rates=[40.0, 40.0]), ""),
            ("honest requests fail", judge(samples=[Sample(1, {}, faults=11)]), "11 honest requests"),
            ("a newcomer is not served", judge(newcomers=[0.1, None]), "1 of 2 who came anew"),
            ("memory has a bound", judge(memory_mb=401), "MB were resident"),
            ("descriptors have a bound", judge(descriptors=10_165), "descriptors were open"),
            ("connections stay after an attack", judge(gone=None), "after an attack"),
            ("an attack is too small", judge(told={"malformed": few}), "only 900 malformed"),
            ("what is malformed is not refused", judge(told={"malformed": accepted}), "2 unexpected"))

    def test_failures(self) -> None:
        def failed(may_be_refused: bool, since: float = 0, **call: Any) -> list[str]:
            calls = [Call(0, 0, "hold", 1, {}, **call), Call(0, 0, "hold", 1, {}, status=201)]
            return failures(calls, may_be_refused, since)

        self.judge(
            *((f"{call} is noticed", failed(may_be_refused, **call), "1 × hold: ") for may_be_refused in (True, False)
              for call in ({"fault": "connection lost"}, {"fault": "no answer in time"}, {"status": 503},
                           {"status": 500})),
            ("a refused connection is noticed", failed(False, fault="connection refused"),
             "1 × hold: connection refused"),
            ("a refused connection is allowed", failed(True, fault="connection refused"), ""),
            ("a call failed before a moment", failed(False, since=5, start_monotonic=4.9), ""),
            ("a call failed after a moment", failed(False, since=5, start_monotonic=5.1), "1 × "))

    def test_calls_without_a_response(self) -> None:
        def judge(fault: str, seconds: float = 1, ends: tuple[Interval, ...] = (), pauses: tuple[Interval, ...] = (),
                  status: int = 0) -> list[str]:
            """A call that began at 10, on a connection that was made at 5."""
            server = Server(0, Path("."), "", {})
            server.ends, server.pauses = list(ends), list(pauses)
            history = History()
            history.add(Call(0, 0, "hold", 1, {}, fault=fault, connected=5, start_monotonic=10,
                             end_monotonic=10 + seconds, status=status))
            return trial.unanswered(history, [server])

        there = "server0 was there"
        self.judge(
            ("a connection is lost", judge("connection lost"), there),
            ("a connection is lost, and its server ended before or after it",
             judge("connection lost", ends=((4, 4.9), (12, 12)), pauses=((9, 12),)), there),
            ("a connection is lost with its server", judge("connection lost", ends=((7, 7),)), ""),
            ("a server that takes a moment to be gone may be connected to",
             judge("connection lost", ends=((4.9, 5.1),)), ""),
            ("a late answer", judge("", 5.5, status=201), there),
            ("an answer in time", judge("", 4.5, status=503), ""),
            ("no answer in time", judge("no answer in time", 5.5, pauses=((5, 9),)), there),
            ("no answer from a server that was stopped", judge("no answer in time", 5.5, pauses=((9, 11),)), ""),
            ("what is no answer", judge("not an answer: Expecting value", ends=((10.5, 10.5),)), "not an answer"))


if __name__ == "__main__":
    unittest.main()
