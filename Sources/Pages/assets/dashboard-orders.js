// Finding orders: by id, by customer, by product and by status. The result is a list of pages, newest first.
//
// A page of the API may have fewer orders than fit, and even none, although there are more. The list then reads on.

import { call } from "./api.js";
import { clock } from "./clock.js";
import { stateOf } from "./dashboard-order.js";
import { announce, find, focusOn, make, setBusy, setInvalid, setText, show } from "./dom.js";
import { count, money, shortTime } from "./format.js";
import { outageOf } from "./refusals.js";

const path = "/api/admin/orders";
/// The most requests for one page of the list.
const readsMax = 20;

export class OrderList {
  #panel;
  #nameOf;
  #generation = 0;
  /// The members of the query without the cursor. Null while the page has no list.
  #query = null;
  /// The cursor of each page up to the one that is shown. The first page has none.
  #cursors = [];
  #next = null;

  /// - panel: shows one order.
  /// - nameOf: the name of a product, or undefined.
  constructor(panel, nameOf) {
    this.#panel = panel;
    this.#nameOf = nameOf;
    find("find-order").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    find("older-orders").addEventListener("click", () => this.#read([...this.#cursors, this.#next]));
    find("newer-orders").addEventListener("click", () => this.#read(this.#cursors.slice(0, -1)));
  }

  clear() {
    this.#generation += 1;
    [this.#query, this.#cursors, this.#next] = [null, [], null];
    find("order-rows").replaceChildren();
    // The filters have a customer's id.
    setText(find("order-filters"), "");
    find("orders-csv").removeAttribute("href");
    setInvalid(find("order-product"), false);
    for (const field of ["order-id", "order-product", "order-status"]) find(field).value = "";
    setBusy(find("find-order-button"), false, "Show");
    this.#fail("");
    show(find("order-list"), false);
  }

  #search() {
    const text = find("order-id").value.trim();
    if (/^(order|hold)_/.test(text)) return this.#panel.find(text);
    const product = find("order-product").value.trim();
    const isNumber = /^([1-9]\d*)?$/.test(product) && Number(product) < 2 ** 31;
    setInvalid(find("order-product"), !isNumber);
    if (!isNumber) {
      find("order-product").focus();
      return this.#fail("A product has a number, such as 7.");
    }
    const members = { customer_id: text, product_id: product, status: find("order-status").value };
    this.#query = new URLSearchParams(Object.entries(members).filter(([, value]) => value));
    const filters = [text && `of ${text}`, product && `of ${this.#nameOf(Number(product)) ?? `product ${product}`}`];
    setText(find("order-filters"), filters.filter(Boolean).join(", "));
    const all = new URLSearchParams(this.#query);
    all.set("format", "csv");
    find("orders-csv").href = `${path}?${all}`;
    this.#read([null]);
  }

  /// - cursors: those of the pages up to the one to show.
  async #read(cursors) {
    const button = find("find-order-button");
    const generation = ++this.#generation;
    setBusy(button, true, "Looking");
    const [orders, error, next] = await this.#readPage(cursors.at(-1), generation);
    if (generation !== this.#generation) return;
    setBusy(button, false, "Show");
    this.#fail(error);
    if (error) return;
    this.#cursors = cursors;
    this.#next = next;
    this.#render(orders);
  }

  async #readPage(cursor, generation) {
    for (let number = 1; ; number += 1) {
      const query = new URLSearchParams(this.#query);
      if (cursor) query.set("cursor", cursor);
      const answer = await call("GET", `${path}?${query}`);
      if (!answer.ok) return [[], answer.body?.errors?.[0]?.detail ?? answer.body?.detail ?? outageOf(answer), null];
      const { orders, next_cursor: next } = answer.body;
      if (orders.length || !next || number === readsMax || generation !== this.#generation) return [orders, "", next];
      cursor = next;
    }
  }

  #render(orders) {
    const focused = document.activeElement;
    find("order-rows").replaceChildren(...orders.map((order) => this.#rowOf(order)));
    show(find("order-list"), true);
    show(find("order-table"), orders.length);
    show(find("newer-orders"), this.#cursors.length > 1);
    show(find("older-orders"), this.#next);
    const words = orders.length === 1 ? "1 order" : `${count(orders.length)} orders`;
    const some = this.#cursors.length > 1 ? `${words}, page ${count(this.#cursors.length)}` : words;
    const none = this.#next ? "None of the newest orders. Older ones may fit." : "No order fits.";
    setText(find("order-count"), orders.length ? some : none);
    announce(find("order-count").textContent);
    // A hidden button loses the focus.
    if (focused?.hidden) focusOn(find("order-count"));
  }

  #rowOf(order) {
    const time = make("time", { dateTime: order.created_at }, shortTime(order.created_at, clock.now()));
    const link = make("a", { href: `#${order.order_id}`, title: order.order_id }, time);
    const product = this.#nameOf(order.product_id) ?? `product ${order.product_id}`;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, link),
      make("td", {}, stateOf(order)),
      make("td", {}, money(order.amount, order.currency)),
      make("td", { className: "wide" }, make("bdi", {}, product)),
      make("td", { className: "wide" }, make("bdi", {}, order.customer_id ?? "–")),
    );
  }

  #fail(text) {
    setText(find("orders-error"), text);
    show(find("orders-error"), text);
    if (text) announce(text);
  }
}
