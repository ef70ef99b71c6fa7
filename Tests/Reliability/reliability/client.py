"""HTTP/1.1 over asyncio streams: one connection to each server, kept alive. Every call is recorded."""

import asyncio
import json
import time
from typing import Any

from .history import Call, History

# A little longer than the five seconds in which every call gets its response.
PATIENCE = 5.5  # seconds

ADDRESSES = {
    "hold": ("POST", "/api/holds"), "order": ("POST", "/api/orders"), "pay": ("POST", "/api/payments/webhook"),
    "release": ("DELETE", "/api/holds/{hold_id}"), "product": ("GET", "/api/products/{product_id}"),
    "products": ("GET", "/api/products"), "read_hold": ("GET", "/api/holds/{hold_id}"),
    "read_order": ("GET", "/api/orders/{order_id}"), "change": ("PATCH", "/api/admin/products/{product_id}"),
    "restock": ("POST", "/api/admin/products/{product_id}/stock"),
    "settle": ("POST", "/api/admin/payment-events/{idempotency_key}/settle"),
    "refund": ("POST", "/api/admin/orders/{order_id}/refunds"),
}
# For admin calls: every server has it.
TOKEN = "a-token-for-the-harness"


class Client:
    def __init__(self, number: int, ports: list[int], history: History, patience: float = PATIENCE) -> None:
        self.number, self.ports, self.history, self.patience = number, ports, history, patience
        self._connections: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = {}

    async def call(
        self, operation: str, product: int, request: dict[str, Any], server: int, key: str | None = None
    ) -> Call:
        """Makes a call and records it, with or without a response."""
        call = Call(self.number, server, operation, product, request, key)
        call.start, call.start_monotonic = time.time(), time.monotonic()
        try:
            # Not wait_for, which forgets a cancellation that comes together with the response.
            async with asyncio.timeout(self.patience):
                await self._exchange(call)
        except (OSError, EOFError, TimeoutError) as error:
            call.fault = call.fault or ("no answer in time" if isinstance(error, TimeoutError) else "connection lost")
            self._drop(server)
        except (ValueError, KeyError, IndexError, asyncio.LimitOverrunError) as error:
            call.fault = f"not an answer: {error}"
            self._drop(server)
        except asyncio.CancelledError:
            call.fault = "gave up"
            raise
        finally:
            call.end, call.end_monotonic = time.time(), time.monotonic()
            self.history.add(call)
        return call

    def close(self) -> None:
        for server in list(self._connections):
            self._drop(server)

    def _drop(self, server: int) -> None:
        if server in self._connections:
            self._connections.pop(server)[1].transport.abort()

    async def _exchange(self, call: Call) -> None:
        if call.server not in self._connections:
            try:
                began = time.monotonic()
                reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[call.server])
                self._connections[call.server] = reader, writer, began
            except OSError:
                call.fault = "connection refused"
                return
            except asyncio.CancelledError:
                call.fault = "not connected in time"
                raise
        reader, writer, call.connected = self._connections[call.server]
        method, address = ADDRESSES[call.operation]
        body = json.dumps(call.request).encode() if method in ("POST", "PATCH") else b""
        path = address.format(**call.request)
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}"]
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        if call.key:
            head.append(f"Idempotency-Key: {call.key}")
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()

        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        text = await reader.readexactly(int(headers["content-length"]))
        # The call ends with its last byte, before Python parses it.
        retry_after = headers.get("retry-after")
        call.answered(int(lines[0].split()[1]), json.loads(text), headers.get("idempotent-replayed") == "true",
                      None if retry_after is None else int(retry_after))
        if headers.get("connection", "").lower() == "close":
            self._drop(call.server)
