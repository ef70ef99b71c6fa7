#!/usr/bin/env python3
"""Reads the page `/docs` in Chromium: looks at it, searches it, and copies its curl lines.

    Tests/Browser/docs.py --url http://127.0.0.1:8080 --admin-token TOKEN [--chromium PATH] [--pictures DIR] [TEST ...]

`Tests/Browser/buy` starts a server, which is `flashsale demo`, and runs this. Needs `playwright` and `axe-playwright-python`
of PyPI, and a Chromium. With --pictures, each state of the page becomes a picture.
"""

import json
import subprocess
import sys

sys.dont_write_bytecode = True
from browsing import DESKTOP, PHONE, BrowserTest, main
from playwright.sync_api import expect

FIRST_PAGE_BYTES_MAX = 55_000


class DocsTest(BrowserTest):
    reader = BrowserTest.browser_context

    def docs(self, context=None, anchor=""):
        return self.page(context, "/docs" + anchor)

    def search(self, page, words):
        self.visible(page, "#search").fill(words)

    def is_in_view(self, page, selector):
        expect(page.locator(selector)).to_be_in_viewport()

    # Looks

    def test_each_state_fits_the_screen_and_is_accessible(self):
        for viewport in (PHONE, DESKTOP):
            for scheme in ("light", "dark"):
                with self.subTest(viewport=viewport["width"], scheme=scheme):
                    page = self.docs(self.reader(viewport, scheme))
                    self.look(page, "docs", viewport, scheme)
                    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
                    self.look(page, "docs with all details", viewport, scheme)
                    self.search(page, "refund")
                    self.look(page, "docs search", viewport, scheme)
                    self.search(page, "no such word")
                    expect(page.locator("#found")).to_have_text("No parts match")
                    self.look(page, "docs without a match", viewport, scheme)

    def test_the_contents_are_open_on_a_wide_screen_only(self):
        page = self.docs()
        self.visible(page, "a[href='#placeHold']:has(.method)")
        page.set_viewport_size(PHONE)
        expect(page.locator("a[href='#placeHold']:has(.method)")).to_be_hidden()
        page.click("#contents summary")
        page.click("a[href='#placeHold']:has(.method)")
        self.is_in_view(page, "#placeHold h3")
        page.set_viewport_size(DESKTOP)
        self.visible(page, "a[href='#placeHold']:has(.method)")

    def test_the_page_works_without_script(self):
        context = self.browser.new_context(viewport=PHONE, java_script_enabled=False)
        self.addCleanup(context.close)
        page = self.docs(context, "#placeOrder")
        self.is_in_view(page, "#placeOrder h3")
        expect(page.locator("#search-form")).to_be_hidden()
        expect(page.locator(".copy")).to_have_count(0)
        expect(page.locator("#placeOrder .curl")).to_contain_text("curl http://127.0.0.1:8080/api/orders")
        page.click("#placeOrder a[href='#schema-OrderRequest']")
        self.is_in_view(page, "#schema-OrderRequest h3")

    def test_paper_has_the_calls_with_all_members_and_no_contents(self):
        page = self.docs(self.reader(scheme="dark"))
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        expect(page.locator(".contents")).to_be_hidden()
        expect(page.locator(".copy").first).to_be_hidden()
        self.visible(page, "#placeHold details .members")

    # Curl lines

    def test_the_curl_lines_have_the_address_of_the_server(self):
        page = self.docs()
        addresses = set(page.locator(".server").all_inner_texts())
        self.assertEqual(addresses, {self.base})

    def test_a_button_copies_a_curl_line_that_works(self):
        for has_clipboard in (True, False):
            with self.subTest(has_clipboard=has_clipboard):
                context = self.reader()
                context.grant_permissions(["clipboard-read", "clipboard-write"])
                if not has_clipboard:
                    # As in a page that came over plain HTTP from another machine.
                    context.add_init_script("Object.defineProperty(window.Navigator.prototype, 'clipboard', {value: undefined})")
                page = self.docs(context)
                button = page.locator("#placeHold .copy")
                expect(button).to_have_accessible_name("Copy the curl line: Hold units of a product.")
                button.click()
                expect(button).to_have_text("Copied")
                expect(page.locator("#announcer")).to_contain_text("Copied")
                expect(button).to_have_text("Copy")
                # A text field takes the copied text, whether the page has a clipboard or not.
                page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
                page.focus("#paste")
                page.keyboard.press("Control+V")
                line = page.input_value("#paste")
                self.assertIn(f"curl {self.base}/api/holds", line)
                hold = json.loads(subprocess.run(["sh", "-c", line + " -sS"], check=True, capture_output=True).stdout)
                self.assertEqual((hold["status"], hold["quantity"]), ("active", 2))

    # The search

    def test_the_search_works_by_keyboard(self):
        page = self.docs()
        self.tab_to(page, "#search")
        page.keyboard.type("Record MONEY settle")
        self.visible(page, "#settleRefund")
        expect(page.locator("#placeHold")).to_be_hidden()
        expect(page.locator("#holds")).to_be_hidden()
        expect(page.locator(".links a[href='#placeHold']")).to_be_hidden()
        expect(page.locator("#found")).to_have_text("1 part matches")
        page.keyboard.press("Enter")
        self.assertNotIn("?", page.url)
        self.tab_to(page, ".links a[href='#settleRefund']")
        page.keyboard.press("Enter")
        self.is_in_view(page, "#settleRefund h3")
        self.tab_to(page, "#settleRefund .copy")
        page.focus("#search")
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        self.visible(page, "#placeHold")
        expect(page.locator("#found")).to_have_text("")

    def test_a_link_to_a_hidden_part_ends_the_search(self):
        page = self.docs()
        for _ in range(2):
            self.search(page, "settleRefund")
            expect(page.locator("#authentication")).to_be_hidden()
            page.click("#settleRefund a[href='#security-adminToken']")
            self.is_in_view(page, "#security-adminToken")
            self.assertEqual(page.input_value("#search"), "")

    # The files

    def test_the_policy_is_strict_and_the_page_is_light(self):
        page = self.reader().new_page()
        sizes = []
        page.on("requestfinished", lambda request: sizes.append(request.sizes()))
        response = page.goto(self.base + "/docs")
        self.visible(page, "#search")
        policy = response.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertLess(sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes), FIRST_PAGE_BYTES_MAX)


if __name__ == "__main__":
    main(__doc__)
