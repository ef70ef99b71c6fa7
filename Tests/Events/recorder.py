"""A receiver of event webhooks that records each request with the time of its arrival."""
import asyncio, time

from harness.receiver import Receiver


class Recorder(Receiver):
    def __init__(self, respond=lambda headers, body: 204):
        """`respond` gets the headers, by lower-case names, and the body; it returns a status."""
        async def record(headers, body):
            self.requests.append((time.monotonic(), headers, body))
            return respond(headers, body)

        super().__init__(record)
        self.requests = []  # (time.monotonic(), headers, body)

    async def wait_for(self, what, condition, seconds=30):
        """Waits until a condition is true; exits the program if it is not in time."""
        deadline = time.monotonic() + seconds
        while not condition(self.requests):
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {seconds} s: {what}; {len(self.requests)} requests came")
            await asyncio.sleep(0.005)
