"""Takes the pictures of a small sale. `screenshots` starts the server, and runs this.

    pictures.py URL ADMIN_TOKEN CHROMIUM DIRECTORY NAME...
"""

import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 60_000
# The name, the price in cents, and the units. Each second, buyers want this many units of each.
PRODUCTS = [
    ("Midnight Hoodie", 5900, 2400, 24), ("Canvas Tote", 1800, 900, 9), ("Enamel Mug", 1400, 600, 5),
    ("Art Print No. 7", 3500, 150, 4), ("Wool Beanie", 2400, 1200, 7),
]
# The pictures show the sale after this time.
SALE_SECONDS = 60
# The buyer's hold has this rest when the picture is taken. It lasts 120 s.
COUNTDOWN = "1:50"


class Sale:
    """Buyers of all products, until the end of the block. They make the same choices in each run."""

    def __init__(self, url, admin_token):
        self.url, self.admin_token = url, admin_token
        self.has_run, self.ended = threading.Event(), threading.Event()
        self.products = [
            self.call("/api/admin/products", {"name": name, "price": price, "currency": "USD", "total_stock": stock})["id"]
            for name, price, stock, _ in PRODUCTS
        ]
        self.buyers = threading.Thread(target=self.buy)

    def __enter__(self):
        self.buyers.start()
        return self

    def __exit__(self, *exception):
        self.ended.set()
        self.buyers.join()

    def call(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if path.startswith("/api/admin/"):
            request.add_header("Authorization", f"Bearer {self.admin_token}")
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def buy(self):
        choices = random.Random(7)
        start = time.monotonic()
        second = 0
        while not self.ended.wait(max(0, start + second - time.monotonic())):
            for product, (_, _, _, units) in zip(self.products, PRODUCTS):
                for _ in range(choices.randint(units // 2, units)):
                    self.buy_one(product, choices.random())
            second += 1
            if second == SALE_SECONDS:
                self.has_run.set()

    def buy_one(self, product, choice):
        """Of ten holds, one lapses, one becomes an unpaid order, and eight are paid."""
        try:
            hold = self.call("/api/holds", {"product_id": product, "quantity": 1})["hold_id"]
            if choice < 0.1:
                return
            order = self.call("/api/orders", {"hold_id": hold})["order_id"]
            if choice >= 0.2:
                self.call("/api/payments/webhook", {"idempotency_key": order, "order_id": order, "status": "success"})
        except urllib.error.HTTPError as refusal:
            # Products sell out during the sale.
            if refusal.code != 409:
                raise


def take_sale(page, sale):
    """The page of a product, whose buyer holds two units."""
    sale.has_run.wait()
    page.goto(f"{sale.url}/p/{sale.products[0]}")
    page.click("#more")
    page.click("#hold-button")
    expect(page.locator("#hold-countdown")).to_have_text(COUNTDOWN)


def take_control_room(page, sale):
    """The control room with the same product. Its charts show the time for which it is open."""
    page.goto(f"{sale.url}/dashboard#product-{sale.products[0]}")
    page.fill("#key", sale.admin_token)
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("Live")
    sale.has_run.wait()


# What to do, and the size of the picture. The control room comes first, because it has to be open during the sale.
PICTURES = {
    "control-room": (take_control_room, {"width": 1440, "height": 900}),
    "sale": (take_sale, {"width": 1200, "height": 640}),
}


def main():
    url, admin_token, chromium, directory, *names = sys.argv[1:]
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, Sale(url, admin_token) as sale:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (take, viewport) in PICTURES.items():
            if name not in names:
                continue
            page = browser.new_context(viewport=viewport, color_scheme="light", reduced_motion="reduce").new_page()
            take(page, sale)
            page.screenshot(path=Path(directory) / f"{name}.png")
        browser.close()


main()
