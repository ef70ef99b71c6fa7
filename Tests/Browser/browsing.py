"""What the tests of the pages share: the API, a server that can be gone, and a browser."""

import argparse
import json
import shutil
import socket
import threading
import unittest
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 10_000
PHONE = {"width": 375, "height": 760}
DESKTOP = {"width": 1440, "height": 900}
HOSTILE_NAMES = [
    """<script>document.title='broken'</script><img src=x onerror="document.title='broken'">""",
    """ "quotes' & &amp; <b>bold</b> </title>""",
    "סווטשירט — הנחה 50% \u202eABC",
    "🧦 socks 👨‍👩‍👧‍👦",
    "W" * 200,
]
# Filled by `main`.
settings = argparse.Namespace()


def call(method, path, body=None, token=None, key=None):
    request = urllib.request.Request(settings.url + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Idempotency-Key", key)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as response:
        return None if response.status == 204 else json.load(response)


def make_product(**members):
    body = {"name": "Hoodie", "price": 5000, "currency": "USD", "total_stock": 10} | members
    return call("POST", "/api/admin/products", body, settings.admin_token)["id"]


def refund(order, **members):
    return call("POST", f"/api/admin/orders/{order}/refunds", members, settings.admin_token, key=str(uuid.uuid4()))


class Gateway:
    """Stands between the browser and the server. While it is down, the browser finds the server gone."""

    def __init__(self):
        target = urllib.parse.urlsplit(settings.url)
        self.target = (target.hostname, target.port or 80)
        self.port = 0
        self.sockets = set()
        self.up()

    def up(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def down(self):
        # A closed listener goes on accepting until its accept() ends, so it is shut down first.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in list(self.sockets):
            self.end(each)

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            self.sockets |= {client, server}
            for source, sink in [(client, server), (server, client)]:
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self.end(source)
        self.end(sink)

    def end(self, each):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()
        self.sockets.discard(each)


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=settings.chromium, args=["--no-sandbox"])
        expect.set_options(timeout=PATIENCE_MS)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()

    def setUp(self):
        self.base = settings.url
        self.faults = []
        self.foreign = []

    def tearDown(self):
        self.assertEqual(self.faults, [], "faults in the browser's console")
        self.assertEqual(self.foreign, [], "requests to other hosts")

    def browser_context(self, viewport=DESKTOP, scheme="light"):
        """A browser of its own, with its own storage."""
        context = self.browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        self.addCleanup(context.close)
        return context

    def page(self, context=None, path="/"):
        page = (context or self.browser_context()).new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self.note)
        page.on("request", lambda request: self.check_address(request.url))
        page.goto(self.base + path)
        return page

    def note(self, message):
        # Chromium reports refused and failed requests. The tests make them on purpose.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def check_address(self, address):
        if not address.startswith(self.base + "/"):
            self.foreign.append(address)

    def visible(self, page, selector):
        expect(page.locator(selector)).to_be_visible()
        return page.locator(selector)

    def tab_to(self, page, selector):
        for _ in range(20 + page.locator("a, button, input").count()):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                self.assertNotEqual(outline, "none", f"the focus on {selector} is not visible")
                return
        self.fail(f"no way to {selector} by keyboard")

    def look(self, page, state, viewport, scheme):
        """Checks a state of a page, and takes its picture if there is a directory for it."""
        with self.subTest(state=state):
            self.assert_fits(page)
            self.assert_accessible(page)
            if settings.pictures:
                name = f"{state}-{viewport['width']}-{scheme}.png".replace(" ", "-")
                page.screenshot(path=Path(settings.pictures) / name, full_page=True)

    def assert_fits(self, page):
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        self.assertLessEqual(widths[0], widths[1], "the page scrolls sideways")

    def assert_accessible(self, page):
        violations = Axe().run(page).response["violations"]
        serious = [each for each in violations if each["impact"] in ("serious", "critical")]
        found = [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious]
        self.assertEqual(found, [])


def main(description, url=None, admin_token=None):
    """Runs the tests of the program. Without a URL, the command line has it, and the admin token."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=url, required=url is None)
    parser.add_argument("--admin-token", default=admin_token, required=admin_token is None)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--pictures")
    _, rest = parser.parse_known_args(namespace=settings)
    settings.url = settings.url.rstrip("/")
    if settings.pictures:
        Path(settings.pictures).mkdir(parents=True, exist_ok=True)
    unittest.main(argv=[parser.prog, *rest])
