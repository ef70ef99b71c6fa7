#!/usr/bin/env python3
"""Watches and changes a sale in the control room, `/dashboard`, in Chromium, and takes server and database away.

    Tests/Browser/dashboard.py [--chromium PATH] [--pictures DIR] [TEST ...]

It starts servers of its own: FLASHSALE=PATH tests another build. Needs `playwright` and `axe-playwright-python` of PyPI,
and a Chromium: `Tests/Browser/buy` installs them and runs this. With --pictures, each state of the page becomes a picture.
"""

import base64
import datetime
import hmac
import http.server
import json
import queue
import re
import shutil
import sys
import tempfile
import threading
import urllib.error
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.dont_write_bytecode = True
from browsing import DESKTOP, HOSTILE_NAMES, PHONE, BrowserTest, call, main, make_product, refund
from harness.processes import output_of
from harness.services import FLASHSALE, Services, create_product, sql
from playwright.sync_api import expect
from shop import ADMIN_TOKEN, Shop

RECONNECTION_MS = 40_000
FIRST_PAGE_BYTES_MAX = 70_000
ENDPOINTS = "/api/admin/webhook-endpoints"
# The shop of most tests, and one that has only one product.
shop: Shop
one: Shop


def place_order(product, quantity=1):
    hold = call("POST", "/api/holds", {"product_id": product, "quantity": quantity})["hold_id"]
    return call("POST", "/api/orders", {"hold_id": hold})["order_id"]


def pay(order, key="", **members):
    body = {"idempotency_key": f"dashboard-{order}{key}", "order_id": order, "status": "success"} | members
    return call("POST", "/api/payments/webhook", body)


@contextmanager
def receiver():
    """Yields the URL of a receiver of events, and the queue of the headers and bodies that it gets."""
    received = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            received.put(({**self.headers, "raw": body}, json.loads(body)))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hooks", received
    finally:
        server.shutdown()
        server.server_close()


def is_signed(headers, event, secret):
    """Whether one of the signatures is that of the secret (Standard Webhooks)."""
    headers = {name.lower(): value for name, value in headers.items()}
    message = f"{event}.{headers['webhook-timestamp']}.".encode() + headers["raw"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    code = base64.b64encode(hmac.digest(key, message, "sha256")).decode()
    return headers["webhook-id"] == event and f"v1,{code}" in headers["webhook-signature"].split()


class DashboardTest(BrowserTest):
    operator = BrowserTest.browser_context

    def sign_in(self, page, key=ADMIN_TOKEN):
        self.visible(page, "#key").fill(key)
        page.keyboard.press("Enter")

    def room(self, product=None, context=None, key=ADMIN_TOKEN):
        """The page of a signed-in operator, with a product selected."""
        page = self.page(context, "/dashboard" + (f"#product-{product}" if product else ""))
        self.sign_in(page, key)
        expect(page.locator("#connection")).to_have_text("Live")
        return page

    def expect_sum(self, page, **numbers):
        for part, number in numbers.items():
            expect(page.locator(f"#sum-{part}")).to_have_text(str(number))

    def refund_due(self, name):
        """A payment that waits, and its key."""
        order = place_order(make_product(name=name))
        pay(order)
        self.assertEqual(pay(order, "-again")["verdict"], "refund_due")
        return order, f"dashboard-{order}-again"

    def paid_order(self, name, quantity=2):
        order = place_order(make_product(name=name), quantity)
        pay(order)
        return order

    def show_order(self, page, order):
        page.fill("#order-id", order)
        page.keyboard.press("Enter")
        expect(page.locator("#order-facts")).to_contain_text(order)

    def history(self, order):
        return call("GET", f"/api/admin/orders/{order}", token=ADMIN_TOKEN)

    # Signing in and out

    def test_an_operator_signs_in_and_out(self):
        page = self.room(make_product(name="In and out"))
        expect(page.locator("#selection-name")).to_have_text("In and out")
        expect(page.locator("#scope")).to_have_text("admin")
        storage = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
        self.assertNotIn(ADMIN_TOKEN, storage)
        self.assertEqual(page.input_value("#key"), "")
        page.reload()
        expect(page.locator("#connection")).to_have_text("Live")
        page.click("#sign-out")
        expect(page.locator("#lead")).to_have_text("You are signed out.")
        expect(page.locator("#key")).to_be_focused()
        expect(page.locator("#floor")).to_be_hidden()
        self.assertNotIn("In and out", page.inner_html("main"))
        self.assertEqual(page.evaluate("fetch('/api/admin/session').then((answer) => answer.status)"), 401)
        page.reload()
        self.visible(page, "#sign-in")

    def test_a_wrong_key_is_refused(self):
        page = self.page(path="/dashboard")
        self.sign_in(page, "")
        expect(page.locator("#key-error")).to_have_text("Enter an admin key.")
        self.sign_in(page, "not-the-key-of-this-shop")
        expect(page.locator("#key-error")).to_contain_text("The shop does not know this key")
        expect(page.locator("#key")).to_be_focused()
        self.assertEqual(page.get_attribute("#key", "aria-invalid"), "true")
        expect(page.locator("#key")).to_have_value("")
        self.sign_in(page)
        expect(page.locator("#connection")).to_have_text("Live")

    def test_a_session_that_ends_elsewhere_ends_here(self):
        context = self.operator()
        first = self.room(context=context)
        second = self.page(context, "/dashboard")
        expect(second.locator("#connection")).to_have_text("Live")
        second.click("#sign-out")
        expect(first.locator("#lead")).to_have_text("Your session has ended. Sign in again.")
        self.visible(first, "#key")

    def test_what_the_scope_does_not_allow_is_not_shown(self):
        order, _ = self.refund_due("Read only")
        product = call("GET", f"/api/orders/{order}")["product_id"]
        key = output_of(
            FLASHSALE, "key", "create", "--scope", "read", "--name", "watcher", env={"DATABASE_URL": shop.database})
        page = self.room(product, key=key.strip())
        expect(page.locator("#who")).to_have_text("watcher")
        # Other tests leave events, too.
        expect(page.locator("#events li").first).to_be_visible()
        self.add_endpoint("http://127.0.0.1:1/read-only")
        expect(page.locator("#endpoints li").first).to_be_visible()
        for part in ("#controls", "#endpoint-form"):
            expect(page.locator(part)).to_be_hidden()
        self.assertEqual(page.locator(".events button:visible").count(), 0)
        self.show_order(page, order)
        expect(page.locator("#order-title")).to_have_text("Paid order")
        expect(page.locator("#refund-button")).to_be_hidden()
        self.delete_endpoint("http://127.0.0.1:1/read-only")

    # Watching

    def test_the_stock_bar_moves_with_the_sale(self):
        product = make_product(name="Moving")
        page = self.room(product)
        self.expect_sum(page, total=10, available=10, held=0, unpaid=0, paid=0)
        call("POST", "/api/holds", {"product_id": product, "quantity": 4})
        self.expect_sum(page, total=10, available=6, held=4, unpaid=0, paid=0)
        expect(page.locator("#selection-bar .held")).to_have_attribute("width", "40%")
        order = place_order(product, 3)
        self.expect_sum(page, total=10, available=3, held=4, unpaid=3, paid=0)
        pay(order)
        self.expect_sum(page, total=10, available=3, held=4, unpaid=0, paid=3)
        row = page.locator("#product-rows tr", has=page.locator(f"a[href='#product-{product}']"))
        expect(row.locator("td").nth(2)).to_have_text("3")
        drawn = page.evaluate("[...document.querySelectorAll('#rate-charts .line')].map((line) => line.getAttribute('d'))")
        self.assertTrue(all(re.match(r"M[\d.]+ [\d.]+", line) for line in drawn), drawn)

    def test_refusals_of_buyers_are_counted_by_reason(self):
        product = make_product(name="Refusing", total_stock=1)
        page = self.room(product)
        with self.assertRaises(urllib.error.HTTPError):
            call("POST", "/api/holds", {"product_id": product, "quantity": 2})
        expect(page.locator("#refusals dt", has_text="Insufficient stock")).to_be_visible()
        expect(page.locator("#server-title")).to_contain_text(str(shop.port))

    def test_200_products_are_searched_and_sorted(self):
        products = [make_product(name=f"Poster {number}", total_stock=number) for number in range(1, 201)]
        page = self.room()
        expect(page.locator("#product-rows tr")).to_have_count(200)
        page.click("[data-sort=left]")
        first = page.locator("#product-rows tr").first
        expect(first.locator("a")).to_have_text("Poster 1")
        self.assertEqual(page.get_attribute("th:has([data-sort=left])", "aria-sort"), "ascending")
        page.click("[data-sort=left]")
        expect(first.locator("a")).to_have_text("Poster 200")
        page.click("[data-sort=name]")
        expect(page.locator("#product-rows tr").nth(9).locator("a")).to_have_text("Poster 10")
        page.fill("#search", "poster 19")
        expect(page.locator("#product-rows tr:visible")).to_have_count(11)
        expect(page.locator("#found")).to_have_text("11 of 200 products")
        page.fill("#search", str(products[6]))
        page.click(f"a[href='#product-{products[6]}']")
        expect(page.locator("#selection-name")).to_be_focused()
        expect(page.locator("#selection-name")).to_have_text("Poster 7")
        page.go_back()
        expect(page.locator("#selection-name")).to_have_text("Whole shop")

    # Changing

    def test_a_sale_is_paused_and_resumed(self):
        product = make_product(name="Pausing")
        page = self.room(product)
        page.click("#pause")
        expect(page.locator("#selection-status")).to_have_text("Paused")
        expect(page.locator("#pause")).to_have_text("Resume the sale")
        self.assertEqual(call("GET", f"/api/products/{product}")["status"], "paused")
        expect(page.locator("#audit li").first).to_contain_text("paused Pausing")
        page.click("#pause")
        expect(page.locator("#selection-status")).to_have_text("On sale")
        expect(page.locator("#audit li").first).to_contain_text("resumed Pausing")

    def test_a_product_is_restocked(self):
        product = make_product(name="Restocking")
        page = self.room(product)
        page.fill("#delta", "1.5")
        page.click("#restock-button")
        self.visible(page, "#delta-error")
        page.fill("#delta", "5")
        page.keyboard.press("Enter")
        self.expect_sum(page, total=15, available=15)
        page.fill("#delta", "-20")
        page.click("#restock-button")
        refused = page.locator("#changes li[data-state=refused]")
        expect(refused).to_be_visible()
        refused.get_by_role("button", name="Close").click()
        expect(refused).to_have_count(0)
        self.expect_sum(page, total=15)

    def test_a_restock_without_an_answer_is_asked_again_under_its_key(self):
        product = make_product(name="Lost answer")
        context = self.operator()
        keys = []

        losing = [True]

        def lose_answer(route):
            if not losing:
                return route.continue_()
            keys.append(route.request.headers["idempotency-key"])
            answer = route.fetch(headers=route.request.headers | {"origin": self.base})
            self.assertEqual(answer.status, 200)
            route.abort()

        page = self.room(product, context)
        context.route("**/stock", lose_answer)
        page.fill("#delta", "7")
        page.click("#restock-button")
        expect(page.locator("#changes li")).to_contain_text("does not know yet whether the change was made")
        page.reload()
        expect(page.locator("#changes li")).to_contain_text("Add 7 units to")
        # To remove the route would end a handler that has not answered yet.
        losing.clear()
        expect(page.locator("#changes li[data-state=done]")).to_contain_text("7 units more")
        self.expect_sum(page, total=17)
        self.assertGreaterEqual(len(keys), 2)
        self.assertEqual(len(set(keys)), 1)
        self.assertNotIn(keys[0], page.evaluate("JSON.stringify(sessionStorage)"))

    def test_a_refund_is_settled_after_a_question(self):
        order, key = self.refund_due("Settling")
        page = self.room()
        row = page.locator("#events li", has_text=order)
        row.get_by_role("button").click()
        expect(page.locator("#question")).to_contain_text("cannot be undone")
        expect(page.locator("#question")).to_contain_text("$50.00")
        expect(page.locator("#keep")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#question")).to_be_hidden()
        expect(row.get_by_role("button")).to_be_focused()
        page.keyboard.press("Enter")
        page.click("#settle")
        expect(row).to_have_count(0)
        events = call("GET", f"/api/admin/payment-events?order_id={order}", token=ADMIN_TOKEN)["payment_events"]
        self.assertEqual([event["idempotency_key"] for event in events if event["settled_at"]], [key])

    # One order

    def test_an_order_is_found_by_its_id_and_from_the_money_that_waits(self):
        order, key = self.refund_due("Found")
        page = self.room()
        self.show_order(page, f"  {order} ")
        expect(page.locator("#order-title")).to_be_focused()
        expect(page.locator("#order-title")).to_have_text("Paid order")
        expect(page.locator("#selection-name")).to_have_text("Found")
        expect(page.locator("#order-events li")).to_have_count(2)
        expect(page.locator("#order-events li").last).to_contain_text("the money has to go back")
        expect(page.locator("#order-events li").last).to_contain_text(key)
        expect(page.locator("#order-refunds")).to_have_text("None.")
        # The address has the order.
        page.reload()
        expect(page.locator("#order-facts")).to_contain_text(order)
        page.go_back()
        expect(page.locator("#order")).to_be_hidden()
        self.assertNotIn(order, page.inner_html("#order"))
        page.locator(".events li", has_text=order).get_by_role("link").click()
        expect(page.locator("#order-title")).to_be_focused()

    def test_an_order_that_does_not_exist_is_told_in_words(self):
        page = self.room()
        page.fill("#order-id", "order_1")
        page.click("#find-order-button")
        expect(page.locator("#order-error")).to_contain_text("32 digits or letters")
        expect(page.locator("#order-id")).to_be_focused()
        self.assertEqual(page.get_attribute("#order-id", "aria-invalid"), "true")
        page.fill("#order-id", "order_0000000165b4800080000000000000ff")
        expect(page.locator("#order-error")).to_be_hidden()
        page.keyboard.press("Enter")
        expect(page.locator("#order-error")).to_have_text("There is no such order.")
        expect(page.locator("#order")).to_be_hidden()

    # Finding orders

    def find_orders(self, page, text="", product="", status=""):
        page.fill("#order-id", text)
        page.fill("#order-product", str(product))
        page.select_option("#order-status", status)
        page.click("#find-order-button")
        self.visible(page, "#order-count")
        expect(page.locator("#find-order-button")).to_have_text("Show")

    def test_orders_are_found_by_customer_product_and_status(self):
        product = make_product(name="Sought")
        ids = []
        for customer in ("ada + co", "ada + co", "=1+1"):
            body = {"product_id": product, "quantity": 1, "customer_id": customer}
            hold = call("POST", "/api/holds", body)["hold_id"]
            ids.append(call("POST", "/api/orders", {"hold_id": hold})["order_id"])
        pay(ids[1])
        page = self.room()
        rows = page.locator("#order-rows tr")
        self.find_orders(page, "ada + co", product)
        expect(page.locator("#order-count")).to_have_text("2 orders")
        expect(page.locator("#order-filters")).to_have_text("of ada + co, of Sought")
        expect(page.locator("#announcer")).to_contain_text("2 orders")
        self.find_orders(page, "", product, "paid")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("Paid")
        self.find_orders(page, "nobody")
        expect(page.locator("#order-count")).to_have_text("No order fits.")
        expect(page.locator("#order-table")).to_be_hidden()
        self.find_orders(page, "", product)
        expect(rows).to_have_count(3)
        self.assert_accessible(page)
        with page.expect_download() as download:
            page.click("#orders-csv")
        self.assertEqual(download.value.suggested_filename, "orders.csv")
        text = Path(download.value.path()).read_bytes().decode()
        self.assertEqual(text.count("\r\n"), 4)
        self.assertIn(",'=1+1\r\n", text)
        rows.first.get_by_role("link").click()
        expect(page.locator("#order-title")).to_be_focused()

    def test_signing_out_forgets_the_customer_and_the_endpoint_of_the_operator(self):
        url = "http://127.0.0.1:1/token-of-the-receiver"
        self.add_endpoint(url)
        page = self.room()
        self.find_orders(page, "customer-of-the-shop")
        page.locator("#endpoints li", has_text=url).get_by_role("button", name="Disable").click()
        page.keyboard.press("Escape")
        page.click("#sign-out")
        self.visible(page, "#key")
        for text in ("customer-of-the-shop", "token-of-the-receiver"):
            self.assertNotIn(text, page.inner_html("body"))
        self.delete_endpoint(url)

    def test_an_order_is_found_by_the_id_of_its_hold(self):
        order = self.paid_order("By its hold")
        page = self.room()
        page.fill("#order-id", order.replace("order_", "hold_"))
        page.keyboard.press("Enter")
        expect(page.locator("#order-facts")).to_contain_text(order)

    def test_a_list_of_orders_has_pages_for_the_keyboard(self):
        product = make_product(name="Many orders", total_stock=200)
        for _ in range(101):
            place_order(product)
        page = self.room()
        page.fill("#order-product", str(product))
        page.keyboard.press("Enter")
        expect(page.locator("#order-count")).to_have_text("100 orders")
        self.tab_to(page, "#older-orders")
        page.keyboard.press("Enter")
        expect(page.locator("#order-count")).to_have_text("1 order, page 2")
        expect(page.locator("#order-count")).to_be_focused()
        self.tab_to(page, "#newer-orders")
        page.keyboard.press("Enter")
        expect(page.locator("#order-count")).to_have_text("100 orders")
        page.fill("#order-product", "x")
        page.keyboard.press("Enter")
        expect(page.locator("#orders-error")).to_have_text("A product has a number, such as 7.")
        expect(page.locator("#order-product")).to_be_focused()

    def test_an_order_is_refunded_by_mouse_in_two_parts(self):
        order = self.paid_order("Refunding")
        page = self.room()
        self.show_order(page, order)
        self.expect_sum(page, total=10, available=8, paid=2)
        page.click("#refund-button")
        expect(page.locator("#refund")).to_contain_text("cannot be undone")
        expect(page.locator("#refund")).to_contain_text("sends no money")
        expect(page.locator("#refund-keep")).to_be_focused()
        expect(page.locator("#refund-amount")).to_have_value("100.00")
        for wrong in ("", "0", "0.001", "1,000", "-1", "100.01", "1e1"):
            page.fill("#refund-amount", wrong)
            page.click("#refund-confirm")
            expect(page.locator("#refund-error")).to_have_text("Enter an amount from $0.01 to $100.00.")
            expect(page.locator("#refund-amount")).to_be_focused()
        page.fill("#refund-amount", "30.5")
        page.check("#refund-restock")
        page.click("#refund-confirm")
        expect(page.locator("#refund-error")).to_contain_text("only when all of the money has gone back")
        self.assertEqual(self.history(order)["refunds"], [])
        page.uncheck("#refund-restock")
        page.fill("#refund-reason", "<b>torn</b>")
        page.click("#refund-confirm")
        expect(page.locator("#order-title")).to_have_text("Partly refunded order")
        expect(page.locator("#order-refunds")).to_contain_text("$30.50")
        expect(page.locator("#order-refunds")).to_contain_text("<b>torn</b>")
        self.expect_sum(page, total=10, available=8, paid=2)

        page.click("#refund-button")
        expect(page.locator("#refund-amount")).to_have_value("69.50")
        page.check("#refund-restock")
        page.click("#refund-confirm")
        expect(page.locator("#order-title")).to_have_text("Refunded order")
        expect(page.locator("#refund-button")).to_be_hidden()
        expect(page.locator("#order-title")).to_be_focused()
        self.expect_sum(page, total=10, available=10, paid=0)
        expect(page.locator("#audit li").first).to_contain_text("refunded an order of Refunding")
        refunds = self.history(order)["refunds"]
        self.assertEqual([(each["amount"], each["restock"]) for each in refunds], [(3050, False), (6950, True)])

    def test_an_order_is_refunded_by_keyboard_alone(self):
        order = self.paid_order("By keyboard")
        page = self.page(path="/dashboard")
        self.visible(page, "#key")
        page.keyboard.type(ADMIN_TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#connection")).to_have_text("Live")
        self.tab_to(page, "#order-id")
        page.keyboard.type(order)
        page.keyboard.press("Enter")
        expect(page.locator("#order-title")).to_be_focused()
        self.tab_to(page, "#refund-button")
        page.keyboard.press("Enter")
        expect(page.locator("#refund-keep")).to_be_focused()
        # The first answer is no: nothing happens.
        page.keyboard.press("Enter")
        expect(page.locator("#refund")).to_be_hidden()
        expect(page.locator("#refund-button")).to_be_focused()
        self.assertEqual(self.history(order)["refunds"], [])
        page.keyboard.press("Space")
        self.tab_to(page, "#refund-restock")
        page.keyboard.press("Space")
        self.tab_to(page, "#refund-reason")
        page.keyboard.type("Sent back")
        self.tab_to(page, "#refund-confirm")
        page.keyboard.press("Space")
        expect(page.locator("#order-title")).to_have_text("Refunded order")
        expect(page.locator("#order-title")).to_be_focused()
        history = self.history(order)
        self.assertEqual((history["status"], history["restocked"]), ("refunded", True))
        self.assertEqual(history["refunds"][0]["reason"], "Sent back")

    def test_a_refund_without_an_answer_is_asked_again_under_its_key(self):
        order = self.paid_order("Lost refund")
        context = self.operator()
        keys = []

        losing = [True]

        def lose_answer(route):
            if not losing:
                return route.continue_()
            keys.append(route.request.headers["idempotency-key"])
            answer = route.fetch(headers=route.request.headers | {"origin": self.base})
            self.assertEqual(answer.status, 201)
            route.abort()

        page = self.room(context=context)
        self.show_order(page, order)
        context.route("**/refunds", lose_answer)
        page.click("#refund-button")
        page.fill("#refund-amount", "40")
        page.click("#refund-confirm")
        expect(page.locator("#changes li")).to_contain_text("does not know yet whether the change was made")
        expect(page.locator("#refund-button")).to_have_text("Recording")
        page.reload()
        expect(page.locator("#changes li")).to_contain_text("Refund $40.00 of")
        # To remove the route would end a handler that has not answered yet.
        losing.clear()
        expect(page.locator("#changes li[data-state=done]")).to_contain_text("Recorded as refunded: $40.00")
        expect(page.locator("#order-title")).to_have_text("Partly refunded order")
        self.assertGreaterEqual(len(keys), 2)
        self.assertEqual(len(set(keys)), 1)
        self.assertEqual([each["amount"] for each in self.history(order)["refunds"]], [4000])
        self.assertNotIn(keys[0], page.evaluate("JSON.stringify(sessionStorage)"))
        # The same amount again is another refund, with another key.
        page.click("#refund-button")
        page.fill("#refund-amount", "40")
        page.click("#refund-confirm")
        expect(page.locator("#order-refunds li")).to_have_count(2)

    def test_a_refund_that_is_too_large_meanwhile_is_refused_in_words(self):
        order = self.paid_order("Refunded meanwhile")
        page = self.room()
        self.show_order(page, order)
        page.click("#refund-button")
        refund(order, amount=9000)
        page.click("#refund-confirm")
        refused = page.locator("#changes li[data-state=refused]")
        expect(refused).to_contain_text("Only $10.00 is left to refund.")
        self.assertEqual([each["amount"] for each in self.history(order)["refunds"]], [9000])

    def test_the_units_of_a_refunded_order_go_back_on_sale_later(self):
        order = self.paid_order("Back on sale")
        refund(order, amount=10000)
        page = self.room()
        self.show_order(page, order)
        self.expect_sum(page, total=10, available=8, paid=2)
        expect(page.locator("#refund-button")).to_have_text("Put its units back on sale")
        page.click("#refund-button")
        expect(page.locator("#refund-title")).to_have_text("Put the units back on sale?")
        expect(page.locator("#refund-amount")).to_be_hidden()
        page.click("#refund-confirm")
        expect(page.locator("#changes li[data-state=done]")).to_contain_text("Back on sale: 2 units of")
        self.expect_sum(page, total=10, available=10, paid=0)
        expect(page.locator("#order-facts")).to_contain_text("$100.00, units back on sale")
        expect(page.locator("#refund-button")).to_be_hidden()
        self.assertEqual([each["amount"] for each in self.history(order)["refunds"]], [10000, 0])

    # By keyboard

    def test_a_pause_by_keyboard_alone(self):
        product = make_product(name="By keyboard alone")
        page = self.page(path="/dashboard")
        self.visible(page, "#key")
        page.keyboard.type(ADMIN_TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#title")).to_be_focused()
        expect(page.locator("#connection")).to_have_text("Live")
        self.tab_to(page, "#search")
        page.keyboard.type("keyboard alone")
        self.tab_to(page, f"a[href='#product-{product}']")
        page.keyboard.press("Enter")
        expect(page.locator("#selection-name")).to_be_focused()
        self.tab_to(page, "#pause")
        page.keyboard.press("Space")
        expect(page.locator("#selection-status")).to_have_text("Paused")
        expect(page.locator("#pause")).to_be_focused()

    # Event deliveries

    def test_an_endpoint_is_added_tested_disabled_and_recovered(self):
        with receiver() as (url, received):
            page = self.room()
            page.fill("#endpoint-url", url)
            page.fill("#endpoint-events", "order.*, refund.due")
            page.keyboard.press("Enter")
            secret = self.visible(page, "#secret-text").text_content()
            self.assertRegex(secret, r"^whsec_[A-Za-z0-9+/]+=*$")
            expect(page.locator("#secret-title")).to_be_focused()
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            page.get_by_role("button", name="Copy the secret").click()
            self.assertEqual(page.evaluate("navigator.clipboard.readText()"), secret)
            page.click("#secret-done")
            expect(page.locator("#secret")).to_be_hidden()
            storage = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.body.outerHTML])")
            self.assertNotIn(secret, storage)
            row = page.locator("#endpoints li", has_text=url)
            expect(row).to_contain_text("Enabled")
            page.reload()
            expect(row).to_contain_text("0 pending, no failure")
            expect(page.locator("#secret")).to_be_hidden()

            row.get_by_role("button", name="Test").click()
            headers, body = received.get(timeout=30)
            self.assertEqual(body["type"], "endpoint.test")
            self.assertTrue(is_signed(headers, body["id"], secret), headers)
            order = place_order(make_product(name="Told"))
            self.assertEqual(received.get(timeout=30)[1]["data"]["order_id"], order)

            row.get_by_role("button", name="Disable").click()
            expect(page.locator("#endpoint-question")).to_contain_text("not sent later")
            expect(page.locator("#endpoint-keep")).to_be_focused()
            page.keyboard.press("Escape")
            expect(row.get_by_role("button", name="Disable")).to_be_focused()
            page.keyboard.press("Enter")
            page.click("#endpoint-go")
            expect(row).to_contain_text("Disabled")
            expect(row.get_by_role("button", name="Test")).to_be_hidden()
            missed = place_order(make_product(name="Missed"))
            row.get_by_role("button", name="Recover").click()
            page.select_option("#since", "1")
            page.click("#endpoint-go")
            expect(row).to_contain_text("Enabled")
            self.delete_endpoint(url)
            expect(row).to_have_count(0)
        # Nobody wanted the event when it happened, so it was not recorded.
        self.assertTrue(received.empty(), missed)

    def test_a_secret_is_replaced_after_a_question(self):
        with receiver() as (url, received):
            page = self.room()
            page.fill("#endpoint-url", url)
            page.click("#endpoint-add")
            first = self.visible(page, "#secret-text").text_content()
            row = page.locator("#endpoints li", has_text=url)
            row.get_by_role("button", name="New secret").click()
            expect(page.locator("#endpoint-question")).to_contain_text("cannot be undone")
            page.click("#endpoint-go")
            expect(page.locator("#secret-text")).not_to_have_text(first)
            second = page.text_content("#secret-text")
            row.get_by_role("button", name="Test").click()
            headers, body = received.get(timeout=30)
            for secret in (first, second):
                self.assertTrue(is_signed(headers, body["id"], secret), headers)
            page.click("#sign-out")
            self.visible(page, "#key")
            self.assertNotIn(second, page.inner_html("body"))
            self.delete_endpoint(url)

    def test_a_new_secret_without_an_answer_is_not_asked_again(self):
        context = self.operator()
        with receiver() as (url, _):
            page = self.room(context=context)
            page.fill("#endpoint-url", url)
            page.click("#endpoint-add")
            self.visible(page, "#secret")
            attempts = []

            def lose_answer(route):
                attempts.append(route.request.url)
                route.fetch(headers=route.request.headers | {"origin": self.base})
                route.abort()

            context.route("**/rotate-secret", lose_answer)
            page.locator("#endpoints li", has_text=url).get_by_role("button", name="New secret").click()
            page.click("#endpoint-go")
            expect(page.locator("#changes li[data-state=stopped]")).to_contain_text("The change may have been made.")
            page.wait_for_timeout(1500)
            self.assertEqual(len(attempts), 1)
            self.delete_endpoint(url)

    def test_a_secret_that_comes_after_signing_out_is_not_shown(self):
        url = "http://127.0.0.1:1/late-secret"
        self.add_endpoint(url)
        context = self.operator()
        page = self.room(context=context)
        held = []
        context.route("**/rotate-secret", lambda route: held.append(route))
        page.locator("#endpoints li", has_text=url).get_by_role("button", name="New secret").click()
        page.click("#endpoint-go")
        while not held:
            page.wait_for_timeout(50)
        response = held[0].fetch(headers=held[0].request.headers | {"origin": self.base})
        secret = response.json()["secret"]
        page.click("#sign-out")
        self.visible(page, "#key")
        held[0].fulfill(response=response)
        page.wait_for_timeout(500)
        self.sign_in(page, ADMIN_TOKEN)
        self.visible(page, "#products")
        self.assertNotIn(secret, page.inner_html("body"))
        self.delete_endpoint(url)

    def test_missed_events_are_found_by_the_servers_clock(self):
        url = "http://127.0.0.1:1/recovered"
        self.add_endpoint(url)
        context = self.operator()
        # The operator's own clock is five hours early.
        context.add_init_script("const now = Date.now; Date.now = () => now() + 5 * 3600e3;")
        page = self.room(context=context)
        page.locator("#endpoints li", has_text=url).get_by_role("button", name="Recover").click()
        page.select_option("#since", "1")
        with page.expect_request("**/recover") as request:
            page.click("#endpoint-go")
        since = datetime.datetime.fromisoformat(request.value.post_data_json["since"].replace("Z", "+00:00"))
        age = datetime.datetime.now(datetime.timezone.utc) - since
        self.assertAlmostEqual(age.total_seconds(), 3600, delta=60)
        self.delete_endpoint(url)

    def test_a_recovery_is_repeated_until_it_is_complete(self):
        url = "http://127.0.0.1:1/many"
        self.add_endpoint(url)
        page = self.room()
        bodies = []

        def answer(route):
            bodies.append(route.request.post_data)
            route.fulfill(status=202, json={"pending": 2000 * len(bodies), "complete": len(bodies) == 3})

        page.route("**/recover", answer)
        page.locator("#endpoints li", has_text=url).get_by_role("button", name="Recover").click()
        page.click("#endpoint-go")
        expect(page.get_by_text(f"Missed events go to {url}.").first).to_be_attached()
        self.assertEqual(bodies, bodies[:1] * 3)
        self.delete_endpoint(url)

    def test_an_address_that_cannot_get_events_is_refused(self):
        page = self.room()
        page.focus("#endpoint-url")
        page.keyboard.press("Enter")
        self.visible(page, "#endpoint-error")
        expect(page.locator("#announcer")).to_contain_text("Enter an address")
        expect(page.locator("#endpoint-url")).to_be_focused()
        self.assertEqual(page.get_attribute("#endpoint-url", "aria-invalid"), "true")
        self.assertIsNone(page.get_attribute("#endpoint-events", "aria-invalid"))
        page.fill("#endpoint-url", "ftp://127.0.0.1/")
        page.click("#endpoint-add")
        expect(page.locator("#changes li[data-state=refused]")).to_contain_text("must begin with")
        expect(page.locator("#secret")).to_be_hidden()
        expect(page.locator("#endpoint-error")).to_be_hidden()
        self.assertIsNone(page.get_attribute("#endpoint-url", "aria-invalid"))

    def test_a_failed_delivery_is_sent_again(self):
        # Nothing listens on port 1.
        url = "http://127.0.0.1:1/failing"
        self.add_endpoint(url)
        page = self.room()
        row = page.locator("#endpoints li", has_text=url)
        place_order(make_product(name="Not told"))
        expect(row).to_contain_text("failed in a row")
        expect(row).to_contain_text("Last error: ")
        # As after the last attempt.
        sql(shop.database, "update flashsale.deliveries set status = 'failed', lease_id = null where status = 'pending'")
        failed = page.locator("#failed li", has_text=url).first
        expect(failed).to_contain_text("order.placed", timeout=30_000)
        failed.get_by_role("button").click()
        expect(page.locator("#changes li[data-state=done]")).to_contain_text("goes again to its endpoints")
        expect(page.locator("#audit li").first).to_contain_text("redelivered an event of Not told")
        expect(page.locator("#failed li", has_text=url)).to_have_count(0)
        self.delete_endpoint(url)

    def add_endpoint(self, url):
        return call("POST", ENDPOINTS, {"url": url, "events": ["order.*"]}, ADMIN_TOKEN)["id"]

    def delete_endpoint(self, url):
        for endpoint in call("GET", ENDPOINTS, token=ADMIN_TOKEN)["webhook_endpoints"]:
            if endpoint["url"] == url:
                call("DELETE", f"{ENDPOINTS}/{endpoint['id']}", token=ADMIN_TOKEN)

    # Interruptions

    def test_a_killed_server_is_told_and_awaited(self):
        page = self.room(make_product(name="Killed"))
        shop.kill()
        try:
            expect(page.locator("#connection")).to_have_text(re.compile("^Reconnecting since .*"))
            expect(page.locator("#outage-text")).to_contain_text("The shop does not respond.")
        finally:
            shop.start()
        expect(page.locator("#connection")).to_have_text("Live", timeout=RECONNECTION_MS)
        expect(page.locator("#outage")).to_be_hidden()

    def test_a_database_that_is_away_is_told_with_what_buyers_are_told(self):
        page = self.room(make_product(name="Database away"))
        with shop.without_database():
            expect(page.locator("#connection")).to_have_text(re.compile("^Database away since "))
            expect(page.locator("#outage-text")).to_contain_text("503 database-unavailable, Retry-After: 1")
            expect(page.locator("#outage-text")).to_contain_text(str(shop.port))
        expect(page.locator("#connection")).to_have_text("Live", timeout=RECONNECTION_MS)

    def test_a_stream_that_begins_with_a_502_is_made_anew(self):
        context = self.operator()
        attempts = []

        def refuse_two(route):
            attempts.append(route.request.url)
            if len(attempts) <= 2:
                route.fulfill(status=502, body="Bad gateway")
            else:
                route.continue_()

        context.route("**/ticks", refuse_two)
        self.room(context=context)
        self.assertEqual(len(attempts), 3)

    def test_a_hidden_tab_has_no_stream(self):
        context = self.operator()
        context.add_init_script("""
            window.sources = [];
            window.EventSource = class extends EventSource { constructor(...args) { super(...args); sources.push(this); } };
            Object.defineProperty(document, "hidden", { get: () => window.isHidden ?? false });
        """)
        page = self.room(context=context)
        page.evaluate("() => { isHidden = true; document.dispatchEvent(new Event('visibilitychange')); }")
        self.assertEqual(page.evaluate("sources.map((source) => source.readyState)"), [2])
        page.evaluate("() => { isHidden = false; document.dispatchEvent(new Event('visibilitychange')); }")
        expect(page.locator("#connection")).to_have_text("Live")
        self.assertEqual(page.evaluate("sources.length"), 2)

    # Text, access, policy, weight

    def test_hostile_names_are_text(self):
        names = {make_product(name=name): name for name in HOSTILE_NAMES}
        page = self.room(context=self.operator(PHONE))
        for product, name in names.items():
            link = page.locator(f"a[href='#product-{product}']")
            self.assertEqual(link.text_content(), name)
            link.click()
            expect(page.locator("#selection-name")).to_have_text(name)
            self.assertEqual(page.locator("main script, main img, main b").count(), 0)
            self.assert_fits(page)
        self.assertEqual(page.title(), "Control room · FlashSale")

    def test_all_states_are_accessible_and_fit_a_phone(self):
        for viewport, scheme in [(PHONE, "light"), (DESKTOP, "dark"), (PHONE, "dark"), (DESKTOP, "light")]:
            with self.subTest(viewport=viewport["width"], scheme=scheme):
                self.look_at_all_states(viewport, scheme)

    def look_at_all_states(self, viewport, scheme):
        self.refund_due("A refund that waits")
        page = self.page(self.operator(viewport, scheme), "/dashboard")
        self.visible(page, "#key")
        self.look(page, "signed out", viewport, scheme)
        self.sign_in(page, "a wrong key")
        self.visible(page, "#key-error")
        self.look(page, "wrong key", viewport, scheme)
        page = self.room(context=self.operator(viewport, scheme))
        self.look(page, "many products", viewport, scheme)
        page.locator("#events button").first.click()
        self.look(page, "question", viewport, scheme)
        page.keyboard.press("Escape")
        order = self.paid_order("A refund with a reason")
        pay(order, "-again")
        refund(order, amount=2500, reason="One of the two units came with a hole in its sleeve")
        self.show_order(page, order)
        expect(page.locator("#order-title")).to_be_focused()
        self.look(page, "order", viewport, scheme)
        page.click("#refund-button")
        page.fill("#refund-amount", "x")
        page.click("#refund-confirm")
        self.look(page, "refund", viewport, scheme)
        page.keyboard.press("Escape")
        self.look_at_endpoints(page, viewport, scheme)
        page = self.room(make_product(name="A hoodie that is paused"), self.operator(viewport, scheme))
        page.click("#pause")
        expect(page.locator("#selection-status")).to_have_text("Paused")
        self.look(page, "paused", viewport, scheme)
        with shop.without_database():
            expect(page.locator("#connection")).to_have_text(re.compile("^Database away"))
            self.look(page, "database away", viewport, scheme)
            page.click("#pause")
            self.visible(page, "#changes li[data-state=waiting]")
            self.look(page, "change that waits", viewport, scheme)
        expect(page.locator("#connection")).to_have_text("Live", timeout=RECONNECTION_MS)
        shop.kill()
        try:
            self.visible(page, "#outage")
            self.look(page, "reconnecting", viewport, scheme)
        finally:
            shop.start()

    def look_at_endpoints(self, page, viewport, scheme):
        url = "http://127.0.0.1:1/" + "an-address-as-long-as-a-phone-is-wide-and-longer/" * 3
        page.fill("#endpoint-url", url)
        page.click("#endpoint-add")
        self.visible(page, "#secret")
        row = page.locator("#endpoints li", has_text=url)
        row.get_by_role("button", name="Test").click()
        expect(row).to_contain_text("Last error: ")
        sql(shop.database, "update flashsale.deliveries set status = 'failed', lease_id = null where status = 'pending'")
        expect(page.locator("#failed li", has_text=url)).to_be_visible(timeout=30_000)
        self.look(page, "endpoint that fails", viewport, scheme)
        for name in ("Recover", "New secret", "Disable"):
            row.get_by_role("button", name=name).click()
            self.look(page, f"question of {name.lower()}", viewport, scheme)
            page.keyboard.press("Escape")
        row.get_by_role("button", name="Disable").click()
        page.click("#endpoint-go")
        expect(row).to_contain_text("Disabled")
        page.click("#secret-done")
        self.look(page, "disabled endpoint", viewport, scheme)
        self.delete_endpoint(url)

    def test_a_shop_with_one_product_shows_it_at_once(self):
        self.base = one.url
        page = self.room()
        self.expect_sum(page, total=100)
        self.look(page, "one product", DESKTOP, "light")

    def test_the_policy_is_strict_and_the_page_is_light(self):
        page = self.operator().new_page()
        sizes = []
        page.on("requestfinished", lambda request: "/api/" in request.url or sizes.append(request.sizes()))
        response = page.goto(self.base + "/dashboard")
        self.visible(page, "#key")
        policy = response.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertLess(sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes), FIRST_PAGE_BYTES_MAX)


if __name__ == "__main__":
    work = Path(tempfile.mkdtemp(prefix="dashboard-", dir="/var/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        services = stack.enter_context(Services(work))
        shop, one = [stack.enter_context(Shop(services, name)) for name in ("dashboard", "one")]
        create_product(one.database, "Hoodie", stock=100)
        main(__doc__, shop.url, ADMIN_TOKEN)
