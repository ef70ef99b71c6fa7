"""Redis alone: the usual script decrements a counter and sets a hold with an expiry. Each response follows a flush."""

import csv

from harness.processes import HarnessError, output_of
from harness.wrk import Sample

SCRIPT = """
local left = tonumber(redis.call('get', KEYS[1]))
if left < tonumber(ARGV[1]) then return 0 end
redis.call('decrby', KEYS[1], ARGV[1])
redis.call('set', KEYS[2], ARGV[1], 'ex', ARGV[2])
return 1
"""
STOCK = 2_000_000_000


class Redis:
    def __init__(self, port: int) -> None:
        self.port = port
        self._run("set", "stock", str(STOCK))
        self._digest = self._run("script", "load", SCRIPT)
        self._rate = 10_000.0  # redis-benchmark takes a number of requests, not a time

    def _run(self, *command: str) -> str:
        return output_of("redis-cli", "-p", str(self.port), *command).strip()

    def hold(self, seconds: float, connections: int = 64) -> Sample:
        before = int(self._run("get", "stock"))
        count = int(self._rate * seconds)
        output = output_of(
            "redis-benchmark", "-p", str(self.port), "-c", str(connections), "-n", str(count), "-r", "2000000000",
            "--csv", "evalsha", self._digest, "2", "stock", "hold:__rand_int__", "1", "3600")
        rows = list(csv.DictReader(output.splitlines()[-2:]))
        if not rows or "rps" not in rows[0]:
            raise HarnessError(f"redis-benchmark failed: {output.strip().splitlines()[-1]}")
        self._rate = float(rows[0]["rps"])
        taken = before - int(self._run("get", "stock"))
        return Sample(
            self._rate, {"p50": float(rows[0]["p50_latency_ms"]), "p99": float(rows[0]["p99_latency_ms"])},
            abs(taken - count))
