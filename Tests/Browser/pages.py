#!/usr/bin/env python3
"""Buys on the pages `/` and `/p/{id}` in Chromium, as a buyer does, and breaks what can break on the way.

    Tests/Browser/pages.py --url http://127.0.0.1:8080 --admin-token TOKEN [--chromium PATH] [--pictures DIR] [TEST ...]

`Tests/Browser/buy` starts a server and runs this. The server is `flashsale demo`, so that the pages play the payment
provider. With HOLD_TTL_SECONDS and ORDER_TTL_SECONDS of at most 60, the tests also wait for the end of a hold and of an
order. Needs `playwright` and `axe-playwright-python` of PyPI, and a Chromium. With --pictures, each state of the pages
becomes a picture.
"""

import datetime
import json
import re

from browsing import (
    DESKTOP, HOSTILE_NAMES, PATIENCE_MS, PHONE, BrowserTest, Gateway, call, make_product, main, refund, settings)
from playwright.sync_api import expect

FIRST_PAGE_BYTES_MAX = 40_000


def change_product(product, **members):
    call("PATCH", f"/api/admin/products/{product}", members, settings.admin_token)


def available(product):
    return call("GET", f"/api/products/{product}")["available_stock"]


def seconds_from_now(seconds):
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class PagesTest(BrowserTest):
    buyer = BrowserTest.browser_context

    def hold(self, page, quantity=1):
        self.visible(page, "#hold-button")
        page.fill("#quantity", str(quantity))
        page.click("#hold-button")
        self.visible(page, "#order-button")

    def order(self, page):
        page.click("#order-button")
        self.visible(page, "[data-stage=unpaid]")

    def provide(self, page, name):
        page.get_by_role("button", name=name, exact=True).click()

    def hold_id(self, page, product):
        return page.evaluate(f"JSON.parse(localStorage['flashsale.purchase.{product}']).hold_id")

    def last_event(self, page):
        return page.locator(".log li").first

    def receipt_id(self, page):
        return page.inner_text("[data-order=id]")

    # Whole purchases

    def test_a_purchase_by_mouse_takes_at_most_five_clicks(self):
        product = make_product(name="By mouse")
        page = self.page()
        clicks = [f"a[href='/p/{product}']", "#hold-button", "#order-button", ".provider .primary"]
        for selector in clicks:
            self.visible(page, selector).click()
        self.visible(page, "#paid-title")
        self.assertLessEqual(len(clicks), 5)
        order = call("GET", f"/api/orders/{self.receipt_id(page)}")
        self.assertEqual((order["status"], order["quantity"], order["product_id"]), ("paid", 1, product))
        expect(page.locator("#receipt .amount")).to_have_text("$50.00")
        expect(page.locator("#available")).to_have_text("9")

    def test_a_purchase_by_keyboard_alone(self):
        product = make_product(name="By keyboard")
        page = self.page()
        self.visible(page, f"a[href='/p/{product}']")
        self.tab_to(page, f"a[href='/p/{product}']")
        page.keyboard.press("Enter")
        self.visible(page, "#hold-button")
        self.tab_to(page, ".skip")
        page.keyboard.press("Enter")
        self.tab_to(page, "#quantity")
        page.keyboard.type("99")
        page.keyboard.press("Enter")
        expect(page.locator("#quantity-error")).to_have_text("Choose a whole number from 1 to 10.")
        expect(page.locator("#quantity")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type("3")
        page.keyboard.press("Enter")
        expect(page.locator("#held-title")).to_be_focused()
        expect(page.locator("#held-title")).to_have_text("You hold 3 units")
        self.tab_to(page, "#order-button")
        page.keyboard.press("Enter")
        expect(page.locator("[data-stage=unpaid] h2")).to_be_focused()
        self.tab_to(page, ".provider .primary")
        page.keyboard.press("Space")
        expect(page.locator("#paid-title")).to_be_focused()
        self.assertEqual(available(product), 7)

    def test_a_reload_goes_on_at_each_step(self):
        product = make_product(name="Reloads")
        page = self.page(path=f"/p/{product}")
        self.hold(page, 2)
        page.reload()
        expect(page.locator("#held-title")).to_have_text("You hold 2 units")
        self.order(page)
        order = self.receipt_id(page)
        page.reload()
        self.visible(page, "[data-stage=unpaid]")
        self.provide(page, "Pay")
        self.visible(page, "#paid-title")
        page.reload()
        self.visible(page, "#paid-title")
        self.assertEqual(self.receipt_id(page), order)
        page.click("#again-button")
        self.visible(page, "#hold-button")
        page.reload()
        self.visible(page, "#hold-button")
        self.assertEqual(available(product), 8)

    def test_a_hold_can_be_given_back(self):
        product = make_product(name="Given back")
        page = self.page(path=f"/p/{product}")
        self.hold(page, 2)
        page.click("#release-button")
        expect(page.locator("#refusal-title")).to_have_text("You gave your units back")
        expect(page.locator("#available")).to_have_text("10")

    # Several browsers and tabs

    def test_of_two_browsers_one_gets_the_last_unit(self):
        product = make_product(name="The last unit", total_stock=1)
        pages = [self.page(path=f"/p/{product}") for _ in range(2)]
        for page in pages:
            self.visible(page, "#hold-button")
        for page in pages:
            page.evaluate("document.querySelector('#hold-button').click()")
        for page in pages:
            expect(page.locator("#order-button:visible, #refusal:visible")).to_have_count(1)
        winners = [page for page in pages if page.locator("#order-button").is_visible()]
        self.assertEqual(len(winners), 1)
        [loser] = [page for page in pages if page not in winners]
        expect(loser.locator("#refusal-title")).to_have_text("All units are reserved")
        expect(loser.locator("#refusal-countdown")).to_have_text(re.compile(r"The next may come back in \d+:\d\d"))
        expect(loser.locator("#status")).to_have_text("All reserved")
        winners[0].click("#release-button")
        expect(loser.locator("#refusal")).to_be_hidden()
        self.hold(loser)
        self.order(loser)
        self.provide(loser, "Pay")
        self.visible(loser, "#paid-title")
        expect(winners[0].locator("#closed-title")).to_have_text("Sold out")

    def test_two_tabs_of_a_buyer_share_one_purchase(self):
        product = make_product(name="Two tabs")
        buyer = self.buyer()
        first, second = [self.page(buyer, f"/p/{product}") for _ in range(2)]
        for page in (first, second):
            self.visible(page, "#hold-button")
        # Both clicks are made before either answer: the requests wait until unroute.
        buyer.route("**/api/holds", lambda route: None)
        for page in (first, second):
            page.click("#hold-button")
        second.wait_for_timeout(500)
        buyer.unroute("**/api/holds")
        for page in (first, second):
            self.visible(page, "#order-button")
        self.assertEqual(available(product), 9)
        self.order(first)
        self.visible(second, "[data-stage=unpaid]")
        self.provide(second, "Pay")
        self.visible(second, "#paid-title")
        self.visible(first, "#paid-title")
        self.assertEqual(self.receipt_id(first), self.receipt_id(second))
        first.click("#again-button")
        self.visible(second, "#hold-button")

    def test_a_tab_follows_another_one_that_has_no_answer_yet(self):
        product = make_product(name="Two tabs, no answer")
        buyer = self.buyer()
        first, second = [self.page(buyer, f"/p/{product}") for _ in range(2)]
        first.route("**/api/holds", lambda route: route.abort())
        first.click("#hold-button")
        self.visible(first, "#stop-asking")
        second.click("#hold-button")
        expect(second.locator("#attempt-text")).to_contain_text("Another tab of yours asks")
        first.unroute("**/api/holds")
        for page in (first, second):
            self.visible(page, "#order-button")
        self.assertEqual(available(product), 9)

    # Lost answers and refusals

    def test_a_lost_answer_is_asked_again_under_its_key(self):
        product = make_product(name="Lost answers")
        page = self.page(path=f"/p/{product}")
        keys = []

        def lose_first(route):
            keys.append(route.request.headers["idempotency-key"])
            route.fetch()
            if len(keys) == 1:
                route.abort()
            else:
                route.fallback()

        for kind in ("holds", "orders"):
            keys.clear()
            page.route(f"**/api/{kind}", lose_first)
            if kind == "holds":
                self.hold(page, 2)
            else:
                self.order(page)
            self.assertEqual(len(keys), 2, kind)
            self.assertEqual(len(set(keys)), 1, kind)
            self.assertGreaterEqual(len(keys[0]), 32)
        self.assertEqual(available(product), 8)

    def test_a_reload_before_the_answer_finds_the_same_hold(self):
        product = make_product(name="Reload before the answer")
        page = self.page(path=f"/p/{product}")
        self.visible(page, "#hold-button")
        keys = []

        def lose(route):
            keys.append(route.request.headers["idempotency-key"])
            route.fetch()
            route.abort()

        page.route("**/api/holds", lose)
        page.click("#hold-button")
        expect(page.locator("#attempt-text")).to_contain_text("No response came")
        self.visible(page, "#stop-asking")
        page.unroute("**/api/holds")
        page.on("request", lambda request: "idempotency-key" in request.headers and
                keys.append(request.headers["idempotency-key"]))
        page.reload()
        self.visible(page, "#order-button")
        self.assertEqual(len(set(keys)), 1)
        self.assertGreaterEqual(len(keys), 2)
        self.assertEqual(available(product), 9)

    def test_a_stopped_request_keeps_its_key(self):
        product = make_product(name="Stopped")
        page = self.page(path=f"/p/{product}")
        self.visible(page, "#hold-button")
        page.route("**/api/holds", lambda route: (route.fetch(), route.abort()))
        page.click("#hold-button")
        self.visible(page, "#stop-asking").click()
        expect(page.locator("#refusal-title")).to_have_text("You stopped before an answer came")
        page.unroute("**/api/holds")
        page.click("#hold-button")
        self.visible(page, "#order-button")
        self.assertEqual(available(product), 9)

    def test_faults_are_told_in_words_and_end(self):
        product = make_product(name="Faults")
        faults = [
            (503, "overloaded", "The shop is very busy."),
            (503, "database-unavailable", "The shop cannot reach its database."),
            (503, "outcome-unknown", "does not know yet whether your request took effect"),
            (429, "too-many-requests", "Too many requests"),
            (502, None, "The shop is out of reach (status 502)"),
        ]
        page = self.page(path=f"/p/{product}")
        self.visible(page, "#hold-button")
        keys = []
        for status, slug, words in faults:
            def refuse(route):
                keys.append(route.request.headers["idempotency-key"])
                problem = {"type": f"/problems/{slug}", "title": "T", "status": status, "detail": "D"}
                body = json.dumps(problem) if slug else "<h1>Bad gateway</h1>"
                kind = "application/problem+json" if slug else "text/html"
                route.fulfill(status=status, body=body, headers={"Content-Type": kind, "Retry-After": "3"})

            with self.subTest(status=status, slug=slug):
                page.route("**/api/holds", refuse)
                if page.locator("#hold-button").is_visible():
                    page.click("#hold-button")
                else:
                    page.click("#ask-now")
                expect(page.locator("#attempt-text")).to_contain_text(words)
                expect(page.locator("#attempt-countdown")).to_have_text(re.compile(r"0:0[1-6]"))
                page.unroute("**/api/holds")
        page.click("#ask-now")
        self.visible(page, "#order-button")
        self.assertEqual(len(set(keys)), 1)

    def test_refusals_say_what_to_do_next(self):
        page = self.page(path=f"/p/{make_product(name='Ended', ends_at=seconds_from_now(1))}")
        expect(page.locator("#closed-title")).to_have_text("The sale has ended")

        limited = make_product(name="Limited", max_per_customer=2)
        page = self.page(path=f"/p/{limited}")
        self.hold(page, 2)
        self.order(page)
        self.provide(page, "Pay")
        self.visible(page, "#paid-title")
        page.click("#again-button")
        self.visible(page, "#hold-button").click()
        expect(page.locator("#refusal-title")).to_have_text("At most 2 units for each customer")

        page = self.page(path="/p/2147483647")
        expect(page.locator("#name")).to_have_text("There is no such product")
        page = self.page(path=f"/p/{limited}")
        pause = {"type": "/problems/sale-paused", "title": "T", "status": 409, "detail": "D"}
        page.route("**/api/holds", lambda route: route.fulfill(
            status=409, body=json.dumps(pause), headers={"Content-Type": "application/problem+json"}))
        self.visible(page, "#hold-button").click()
        expect(page.locator("#refusal-title")).to_have_text("The sale is paused")

    def test_a_refund_is_told(self):
        product = make_product(name="Refunded")
        page = self.page(path=f"/p/{product}")
        self.hold(page, 2)
        self.order(page)
        self.provide(page, "Pay")
        expect(page.locator("#paid-title")).to_have_text("Paid. It is yours")
        expect(page.locator("#receipt-refunded")).to_be_hidden()
        order = self.receipt_id(page)
        refund(order, amount=2000)
        page.reload()
        expect(page.locator("#paid-title")).to_have_text("Paid, and partly refunded")
        expect(page.locator("[data-order=refunded]")).to_have_text("$20.00")
        expect(page.locator("#receipt .amount")).to_have_text("$100.00")
        self.assert_accessible(page)
        refund(order, restock=True)
        page.reload()
        expect(page.locator("#over-title")).to_have_text("Your money went back")
        expect(page.locator("[data-order=refunded]")).to_have_text("$100.00")
        expect(page.locator("[data-step=receipt]")).to_have_attribute("aria-current", "step")
        expect(page.locator("#available")).to_have_text("10")
        self.assert_accessible(page)
        page.click("#again-button")
        self.visible(page, "#hold-button")

    def test_a_paused_product_says_so_and_goes_on(self):
        product = make_product(name="Paused")
        shown = call("GET", f"/api/products/{product}")
        context = self.buyer()
        context.route(f"**/api/products/{product}/events", lambda route: route.fulfill(
            body=f"event: stock\ndata: {json.dumps(shown | {'status': 'paused'})}\n\n",
            headers={"Content-Type": "text/event-stream"}))
        context.route(f"**/api/products/{product}", lambda route: route.fulfill(json=shown | {"status": "paused"}))
        page = self.page(context, f"/p/{product}")
        expect(page.locator("#closed-title")).to_have_text("The sale is paused")
        expect(page.locator("#status")).to_have_text("Paused")
        context.unroute_all()
        self.visible(page, "#hold-button")

    def test_with_a_checkout_address_the_buyer_is_sent_there(self):
        product = make_product(name="Checkout elsewhere")
        context = self.buyer()

        context.route("**/assets/settings.js", lambda route: route.fulfill(
            content_type="text/javascript",
            body='export const checkoutURL = "https://pay.example/start?shop=1";\nexport const playsProvider = false;\n'))
        page = self.page(context, f"/p/{product}")
        self.hold(page)
        self.order(page)
        link = self.visible(page, "#checkout-link")
        order = self.receipt_id(page)
        self.assertEqual(link.get_attribute("href"), f"https://pay.example/start?shop=1&order_id={order}")
        expect(page.locator("#provider button")).to_have_count(0)
        payment = {"idempotency_key": f"pages-{order}", "order_id": order, "status": "success"}
        call("POST", "/api/payments/webhook", payment)
        self.visible(page, "#paid-title")

    # Time

    def test_the_sale_starts_by_the_servers_clock_and_without_a_reload(self):
        product = make_product(name="Starts soon", starts_at=seconds_from_now(6))
        context = self.buyer()
        # The buyer's own clock is five hours late.
        context.add_init_script("const now = Date.now; Date.now = () => now() - 5 * 3600e3;")
        page = self.page(context, f"/p/{product}")
        expect(page.locator("#closed-countdown")).to_have_text(re.compile(r"^0:0[1-6]$"))
        self.hold(page)

    def test_a_hold_that_is_over_is_told_after_a_reload(self):
        product = make_product(name="Over")
        page = self.page(path=f"/p/{product}")
        self.hold(page)
        call("DELETE", f"/api/holds/{self.hold_id(page, product)}")
        page.reload()
        expect(page.locator("#refusal-title")).to_have_text("Your hold was given back")
        self.visible(page, "#hold-button")

    def test_a_hold_that_expires_is_told(self):
        product = make_product(name="Expires")
        page = self.page(path=f"/p/{product}")
        self.hold(page)
        rest = call("GET", f"/api/holds/{self.hold_id(page, product)}")["expires_in_seconds"]
        if rest > 60:
            self.skipTest("HOLD_TTL_SECONDS is above 60")
        page.focus("#order-button")
        expect(page.locator("#refusal-title")).to_have_text("Your hold has expired", timeout=rest * 1000 + PATIENCE_MS)
        expect(page.locator("#refusal")).to_be_focused()
        expect(page.locator("#available")).to_have_text("10")

    # The stream

    def test_the_page_reconnects_when_the_server_was_gone(self):
        product = make_product(name="Server gone")
        gateway = Gateway()
        self.addCleanup(gateway.down)
        self.base = f"http://127.0.0.1:{gateway.port}"
        page = self.page(path=f"/p/{product}")
        expect(page.locator("#connection")).to_have_text("Live")
        gateway.down()
        expect(page.locator("#connection")).to_contain_text("The shop does not respond. Trying again")
        page.click("#hold-button")
        expect(page.locator("#attempt-text")).to_contain_text("No response came")
        call("POST", "/api/holds", {"product_id": product, "quantity": 3})
        gateway.up()
        expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
        self.visible(page, "#order-button")
        expect(page.locator("#available")).to_have_text("6")

    def test_a_stream_that_begins_with_a_502_is_made_anew(self):
        product = make_product(name="Stream of a 502")
        context = self.buyer()
        attempts = []

        def refuse_two(route):
            attempts.append(route.request.url)
            if len(attempts) <= 2:
                route.fulfill(status=502, body="Bad gateway")
            else:
                route.continue_()

        context.route("**/events", refuse_two)
        page = self.page(context, f"/p/{product}")
        expect(page.locator("#connection")).to_have_text("Live")
        self.assertEqual(len(attempts), 3)

    def test_a_hidden_tab_has_no_stream(self):
        product = make_product(name="Hidden")
        context = self.buyer()
        context.add_init_script("""
            window.sources = [];
            window.EventSource = class extends EventSource { constructor(...args) { super(...args); sources.push(this); } };
            Object.defineProperty(document, "hidden", { get: () => window.isHidden ?? false });
        """)
        page = self.page(context, f"/p/{product}")
        expect(page.locator("#connection")).to_have_text("Live")
        page.evaluate("() => { isHidden = true; document.dispatchEvent(new Event('visibilitychange')); }")
        self.assertEqual(page.evaluate("sources.map((source) => source.readyState)"), [2])
        call("POST", "/api/holds", {"product_id": product, "quantity": 3})
        page.evaluate("() => { isHidden = false; document.dispatchEvent(new Event('visibilitychange')); }")
        expect(page.locator("#available")).to_have_text("7")

    def test_the_list_is_live(self):
        product = make_product(name="Listed")
        page = self.page()
        row = page.locator(".row", has=page.locator(f"a[href='/p/{product}']"))
        expect(row.locator(".stock-figure")).to_have_text("10 of 10 left")
        call("POST", "/api/holds", {"product_id": product, "quantity": 10})
        expect(row.locator(".stock-figure")).to_have_text("0 of 10 left")
        expect(row.locator(".status")).to_have_text("All reserved")

    # The demo's payment provider

    def test_the_provider_pays_twice_and_once_more(self):
        page = self.page(path=f"/p/{make_product(name='Twice')}")
        self.hold(page)
        self.order(page)
        self.provide(page, "Pay twice")
        self.visible(page, "#paid-title")
        expect(page.locator(".log li")).to_have_count(2)
        expect(page.locator(".log code", has_text="applied")).to_have_count(2)
        expect(page.locator(".log code", has_text="replayed")).to_have_count(1)
        self.provide(page, "Send the payment again")
        expect(self.last_event(page)).to_contain_text("replayed")
        self.provide(page, "Pay a second time")
        expect(self.last_event(page)).to_contain_text("refund_due")
        self.provide(page, "Decline after the payment")
        expect(self.last_event(page)).to_contain_text("ignored")
        self.visible(page, "#paid-title")

    def test_the_provider_declines_and_pays_late(self):
        page = self.page(path=f"/p/{make_product(name='Declined')}")
        self.hold(page)
        self.order(page)
        self.provide(page, "Decline")
        expect(page.locator("#over-title")).to_have_text("The payment failed")
        self.provide(page, "Pay all the same")
        expect(self.last_event(page)).to_contain_text("reacquired")
        self.visible(page, "#paid-title")

    def test_the_provider_pays_before_the_order(self):
        page = self.page(path=f"/p/{make_product(name='Early')}")
        self.hold(page)
        self.provide(page, "Pay before the order")
        expect(self.last_event(page)).to_contain_text("parked")
        page.click("#order-button")
        self.visible(page, "#paid-title")

    def test_the_provider_waits_for_the_end_of_the_order(self):
        page = self.page(path=f"/p/{make_product(name='Late')}")
        self.hold(page)
        self.order(page)
        self.provide(page, "Pay late")
        expect(page.locator("#provider")).to_contain_text("The provider pays after the order has expired")
        order = call("GET", f"/api/orders/{self.receipt_id(page)}")
        due = datetime.datetime.fromisoformat(order["payment_due_at"].replace("Z", "+00:00"))
        if due.timestamp() - datetime.datetime.now().timestamp() > 60:
            self.skipTest("ORDER_TTL_SECONDS is above 60")
        expect(self.last_event(page)).to_contain_text("reacquired", timeout=70_000)
        self.visible(page, "#paid-title")

    # Text, access, policy, weight

    def test_hostile_names_are_text(self):
        names = {make_product(name=name): name for name in HOSTILE_NAMES}
        list_page = self.page(self.buyer(PHONE))
        for product, name in names.items():
            link = list_page.locator(f"a[href='/p/{product}']")
            expect(link).to_be_attached()
            self.assertEqual(link.text_content(), name)
            page = self.page(self.buyer(PHONE), f"/p/{product}")
            self.visible(page, "#hold-button")
            self.assertEqual(page.text_content("#name"), name)
            self.assertEqual(page.locator("main script, main img, main b").count(), 0)
            self.assertNotEqual(page.title(), "broken")
            self.assert_fits(page)
            page.close()
        self.assert_fits(list_page)

    def test_all_states_are_accessible_and_fit_a_phone(self):
        for viewport, scheme in [(PHONE, "light"), (DESKTOP, "dark")]:
            with self.subTest(scheme=scheme):
                self.look_at_all_states(viewport, scheme)

    def look_at_all_states(self, viewport, scheme):
        def look(page, state):
            self.look(page, state, viewport, scheme)

        product = make_product(name="A hoodie with all its states", total_stock=2, max_quantity_per_hold=2)
        context = self.buyer(viewport, scheme)
        page = self.page(context)
        self.visible(page, f"a[href='/p/{product}']")
        look(page, "list")
        page = self.page(context, f"/p/{product}")
        self.visible(page, "#hold-button")
        look(page, "choosing")
        page.fill("#quantity", "0")
        page.click("#hold-button")
        look(page, "invalid quantity")
        self.hold(page, 2)
        look(page, "held")
        other = self.page(self.buyer(viewport, scheme), f"/p/{product}")
        self.visible(other, "#hold-button").click()
        self.visible(other, "#refusal")
        look(other, "all reserved")
        self.order(page)
        look(page, "unpaid")
        self.provide(page, "Pay twice")
        self.visible(page, "#paid-title")
        expect(page.locator(".log code", has_text="replayed")).to_have_count(1)
        look(page, "paid")
        expect(other.locator("#closed-title")).to_have_text("Sold out")
        look(other, "sold out")
        ended = make_product(name="Ended", ends_at=seconds_from_now(1))
        upcoming = make_product(name="Upcoming", starts_at=seconds_from_now(3600))
        page = self.page(context, f"/p/{upcoming}")
        self.visible(page, "#closed-countdown")
        look(page, "upcoming")
        page = self.page(context, f"/p/{ended}")
        expect(page.locator("#closed-title")).to_have_text("The sale has ended")
        look(page, "ended")
        page = self.page(context, "/p/2147483647")
        expect(page.locator("#name")).to_have_text("There is no such product")
        look(page, "missing")
        failing = self.buyer(viewport, scheme)
        failing.route("**/api/**", lambda route: route.abort())
        page = self.page(failing, f"/p/{product}")
        expect(page.locator("#loading-text")).to_contain_text("The shop does not respond")
        look(page, "error")
        page = self.page(failing)
        expect(page.locator("#lead")).to_contain_text("The shop does not respond")
        look(page, "list error")

    def test_the_policy_is_strict_and_the_pages_are_light(self):
        product = make_product(name="Light")
        for path, selector in [("/", ".row"), (f"/p/{product}", "#hold-button")]:
            with self.subTest(path=path):
                context = self.buyer()
                page = context.new_page()
                requests = []
                page.on("requestfinished", lambda request: requests.append(request))
                response = page.goto(self.base + path)
                self.visible(page, selector if path != "/" else f"a[href='/p/{product}']")
                policy = response.headers["content-security-policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertNotIn("unsafe", policy)
                sizes = [request.sizes() for request in requests if "/api/" not in request.url]
                total = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
                self.assertLess(total, FIRST_PAGE_BYTES_MAX)


if __name__ == "__main__":
    main(__doc__)
