"""A purchase through Varnish with its default settings, which caches every response that does not forbid it.

After each step, the shop reads a resource that it also read before the step. A cached copy would be outdated.
"""

import http.client
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness.processes import HarnessError, answers, free_port, running, wait_until
from harness.services import Services, create_product

from .streams import Watcher

ADMIN_TOKEN = "varnish-admin-token"
STOCK = 10
EVENT_SECONDS_MAX = 1.0


def run(work: Path) -> list[str]:
    """Runs the purchase; returns the violations."""
    with Services(work) as services, ExitStack() as stack:
        url = services.database("varnish")
        product = create_product(url, stock=STOCK)
        server = services.server(url, ADMIN_TOKEN=ADMIN_TOKEN)
        port = stack.enter_context(caching(work, int(server.url.rsplit(":", 1)[1])))
        shop = Shop(port, product)
        shop.buy()
        shop.release()
        shop.watch()
        shop.read_everything()
    print(f"varnish: {shop.reads} reads between the steps, {len(shop.outdated)} wrong; {shop.cached} responses from "
          f"the cache, {len(shop.cacheable)} without no-store")
    problems = shop.outdated + [f"{each} has no Cache-Control: no-store" for each in sorted(shop.cacheable)]
    if shop.cached:
        problems.append(f"{shop.cached} responses came from the cache")
    return problems


@contextmanager
def caching(work: Path, server: int) -> Iterator[int]:
    """Starts Varnish in front of a server, with its built-in rules; yields its port."""
    program = shutil.which("varnishd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise HarnessError("varnishd is missing: apt-get install varnish")
    port, log = free_port(), work / "varnish.log"
    with running(program, "-F", "-j", "none", "-n", work / "varnish", "-a", f"127.0.0.1:{port}",
                 "-b", f"127.0.0.1:{server}", "-s", "malloc,64m", log=log) as process:
        # The test reads this path only at the end.
        wait_until(lambda: answers(port, "/health/live"), process, log)
        yield port


class Shop:
    """Changes something through the cache, then reads it."""

    def __init__(self, port: int, product: int) -> None:
        self.port = port
        self.product = product
        self.reads = 0
        self.cached = 0
        self.outdated: list[str] = []
        self.cacheable: set[str] = set()

    def buy(self) -> None:
        self.expect(f"/api/products/{self.product}", 200, "available_stock", STOCK)
        hold = self.call("POST", "/api/holds", {"product_id": self.product, "quantity": 2})[1]["hold_id"]
        order = hold.replace("hold_", "order_")
        self.expect(f"/api/products/{self.product}", 200, "available_stock", STOCK - 2)
        self.expect(f"/api/holds/{hold}", 200, "status", "active")
        self.expect(f"/api/orders/{order}", 404)
        self.call("POST", "/api/orders", {"hold_id": hold})
        self.expect(f"/api/orders/{order}", 200, "status", "pending_payment")
        self.expect(f"/api/holds/{hold}", 200, "status", "ordered")
        self.call("POST", "/api/payments/webhook", {"idempotency_key": "k", "order_id": order, "status": "success"})
        self.expect(f"/api/orders/{order}", 200, "status", "paid")

    def release(self) -> None:
        hold = self.call("POST", "/api/holds", {"product_id": self.product, "quantity": 1})[1]["hold_id"]
        self.expect(f"/api/holds/{hold}", 200, "status", "active")
        self.expect(f"/api/products/{self.product}", 200, "available_stock", STOCK - 3)
        self.call("DELETE", f"/api/holds/{hold}")
        self.expect(f"/api/holds/{hold}", 200, "status", "released")
        self.expect(f"/api/products/{self.product}", 200, "available_stock", STOCK - 2)
        for stock in (STOCK - 2, STOCK - 3):
            self.reads += 1
            products = self.call("GET", "/api/products")[1]["products"]
            if not any(each["id"] == self.product and each["available_stock"] == stock for each in products):
                self.outdated.append(f"GET /api/products does not have {stock} units")
            self.call("POST", "/api/holds", {"product_id": self.product, "quantity": 1})

    def watch(self) -> None:
        """Watches two streams. The cache must pass on each event at once."""
        for _ in range(2):
            watcher = Watcher(self.port, self.product)
            watcher.start()
            stock = self.call("GET", f"/api/products/{self.product}")[1]["available_stock"]
            if not watcher.wait_for(stock, 10):
                self.outdated.append("a stream does not begin with the stock")
            self.call("POST", "/api/holds", {"product_id": self.product, "quantity": 1})
            if not watcher.wait_for(stock - 1, EVENT_SECONDS_MAX):
                self.outdated.append("a stream does not have the event of a hold within a second")
            watcher.stop()

    def read_everything(self) -> None:
        """Reads all other resources, also with refusals."""
        admin = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        for method, path, headers in (
                ("GET", "/health/live", {}), ("GET", "/health/ready", {}), ("GET", "/metrics", {}),
                ("GET", "/openapi.yaml", {}), ("GET", "/problems/not-found", {}), ("GET", "/api/products/999999", {}),
                ("GET", "/api/holds/nonsense", {}), ("GET", "/nowhere", {}), ("GET", "/api/holds", {}),
                ("GET", "/api/admin/invariants", {}), ("GET", "/api/admin/invariants", admin),
                ("GET", "/api/admin/payment-events", admin), ("POST", "/api/holds", {}), ("HEAD", "/api/products", {})):
            self.call(method, path, headers=headers)

    def expect(self, path: str, status: int, member: str = "", value: object = None) -> None:
        self.reads += 1
        got, answer = self.call("GET", path)
        if got != status:
            self.outdated.append(f"GET {path} is {got}, not {status}")
        elif member and answer[member] != value:
            self.outdated.append(f"GET {path} has {member} {answer[member]}, not {value}")

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            text = response.read()
            # For a response from the cache, Varnish names two requests: this one, and the one whose response it cached.
            self.cached += len((response.getheader("X-Varnish") or "").split()) > 1
            if "no-store" not in (response.getheader("Cache-Control") or ""):
                self.cacheable.add(f"{response.status} of {method} " + "/".join(
                    "ID" if "_" in part else part for part in path.split("/")))
            return response.status, json.loads(text) if text.startswith(b"{") else {}
        finally:
            connection.close()
