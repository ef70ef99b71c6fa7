"""An endpoint that gets a run's events. It records every request, and often fails."""

import asyncio
import base64
import hmac
import json
import random
import urllib.request
from collections.abc import Mapping
from typing import IO

from harness.receiver import Receiver

from .checker.events import Receipt
from .client import TOKEN

USUAL_TROUBLE = 0.03       # of the requests
SLOW_FOR = (0.3, 3.0)      # seconds


class Endpoint(Receiver):
    def __init__(self, types: str, chances: random.Random, file: IO[str]) -> None:
        """`types` are those that it wants, separated by spaces; `file` gets its receipts."""
        super().__init__(self._get)
        self.trouble = USUAL_TROUBLE
        self._types, self._random, self._file, self._secret = types, chances, file, b""

    def subscribe(self, port: int) -> None:
        """Creates it in the shop, through the server on this port."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/admin/webhook-endpoints",
            json.dumps({"url": self.url, "events": self._types.split()}).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as response:
            self._secret = base64.b64decode(json.load(response)["secret"].removeprefix("whsec_"))

    async def _get(self, headers: dict[str, str], body: bytes) -> int | None:
        trouble = self._random.choice(("failing", "slow", "silent")) if self._random.random() < self.trouble else ""
        if trouble == "slow":
            await asyncio.sleep(self._random.uniform(*SLOW_FOR))
        status = {"failing": 500, "silent": None}.get(trouble, 204)
        receipt = Receipt(self._types, headers.get("webhook-id", ""), body.decode(),
                          is_signed(headers, body, self._secret), status == 204)
        # Before the response: a delivery that the database knows of must be in the file.
        self._file.write(json.dumps(receipt) + "\n")
        return status


def is_signed(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    """By the scheme of Standard Webhooks. The time may be any: a fault sets clocks of servers."""
    signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return f"v1,{signature}" in headers.get("webhook-signature", "").split()
