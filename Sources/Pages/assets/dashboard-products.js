// The table of products: one row for each, sorted and searched.

import { StockBar } from "./chart.js";
import { announce, find, make, setText, show } from "./dom.js";
import { count, decimal, duration } from "./format.js";
import { startWords, statusLabel } from "./product-status.js";

/// Rates change each second. So rows move at most this often, and never under a pointer or the focus.
const sortMs = 10_000;
const searchMs = 600;

const collator = new Intl.Collator(undefined, { numeric: true });
const orders = {
  name: { compare: (a, b) => collator.compare(a.name, b.name), direction: "ascending" },
  left: { compare: (a, b) => a.available_stock - b.available_stock, direction: "ascending" },
  rate: { compare: (a, b) => a.holds_per_second - b.holds_per_second, direction: "descending" },
};

/// Such as 4:12, or a dash if the stock does not shrink.
export function sellOutWords(product) {
  return product.sold_out_in_seconds == null ? "–" : duration(product.sold_out_in_seconds * 1000);
}

export class ProductTable {
  #products = [];
  #rows = new Map();
  #order = "rate";
  #direction = orders.rate.direction;
  #sortedAt = -Infinity;
  #timer = 0;

  constructor() {
    for (const button of this.#buttons) button.addEventListener("click", () => this.#choose(button.dataset.sort));
    find("search").addEventListener("input", () => this.#search());
    this.#showOrder();
  }

  /// - selected: the id of the selected product, or null.
  render(shop, selected) {
    this.#products = shop.products;
    const isNew = shop.products.some(({ id }) => !this.#rows.has(id));
    const ids = new Set(shop.products.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    for (const product of shop.products) {
      if (!this.#rows.has(product.id)) this.#rows.set(product.id, new Row(product.id));
      this.#rows.get(product.id).render(product, product.id === selected);
    }
    const body = find("product-rows");
    const isInUse = body.matches(":hover") || body.contains(document.activeElement);
    if (isNew || (!isInUse && performance.now() - this.#sortedAt > sortMs)) this.#sort();
    setText(find("shop-row-rate"), decimal(shop.holds_per_second));
    mark(find("shop-link"), selected === null);
    this.#filter();
    const more = shop.more_products ?? 0;
    show(find("more-products"), more > 0);
    setText(find("more-products"), `The list has the newest products. It leaves out ${count(more)} older ones.`);
  }

  focus(id) {
    (this.#rows.get(id)?.link ?? find("shop-link")).focus();
  }

  clear() {
    this.#products = [];
    this.#rows.clear();
    find("product-rows").replaceChildren();
    find("search").value = "";
  }

  get #buttons() {
    return document.querySelectorAll("[data-sort]");
  }

  #choose(name) {
    const other = { ascending: "descending", descending: "ascending" };
    this.#direction = this.#order === name ? other[this.#direction] : orders[name].direction;
    this.#order = name;
    this.#showOrder();
    this.#sort();
  }

  #showOrder() {
    for (const button of this.#buttons) {
      const header = button.closest("th");
      if (button.dataset.sort === this.#order) header.setAttribute("aria-sort", this.#direction);
      else header.removeAttribute("aria-sort");
    }
  }

  #sort() {
    const sign = this.#direction === "ascending" ? 1 : -1;
    const { compare } = orders[this.#order];
    const sorted = [...this.#products].sort((a, b) => sign * compare(a, b) || b.id - a.id);
    const focused = document.activeElement;
    find("product-rows").append(...sorted.map(({ id }) => this.#rows.get(id).element));
    // A moved element loses the focus.
    if (focused !== document.activeElement) focused.focus({ preventScroll: true });
    this.#sortedAt = performance.now();
  }

  #search() {
    this.#filter();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => announce(find("found").textContent), searchMs);
  }

  #filter() {
    const text = find("search").value.trim().toLowerCase();
    let found = 0;
    for (const product of this.#products) {
      const isFound = product.name.toLowerCase().includes(text) || String(product.id) === text;
      show(this.#rows.get(product.id).element, isFound);
      if (isFound) found += 1;
    }
    const all = this.#products.length;
    const products = all === 1 ? "1 product" : `${count(all)} products`;
    setText(find("found"), text ? `${count(found)} of ${products}` : all === 0 ? "There is no product yet." : products);
  }
}

function mark(link, isSelected) {
  if (isSelected) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

class Row {
  link;
  #status = make("span", { className: "status" });
  #bar = new StockBar();
  #numbers = ["total_stock", "available_stock", "held_stock", "unpaid_stock", "paid_stock"].map((member) => [member, make("td")]);
  #rate = make("td");
  #end = make("td");
  element;

  constructor(id) {
    this.link = make("a", { href: `#product-${id}`, dir: "auto" });
    const name = make("th", { scope: "row" }, make("div", { className: "product-name" }, this.link, this.#status));
    const numbers = this.#numbers.map(([, cell]) => cell);
    this.element = make("tr", {}, name, make("td", {}, this.#bar.element), ...numbers, this.#rate, this.#end);
    for (const [member, cell] of this.#numbers) if (member !== "available_stock") cell.className = "wide";
    this.#end.className = "wide";
  }

  render(product, isSelected) {
    setText(this.link, product.name);
    mark(this.link, isSelected);
    this.#status.dataset.status = product.status;
    setText(this.#status, startWords(product) ?? statusLabel(product));
    this.#bar.render(product);
    for (const [member, cell] of this.#numbers) setText(cell, count(product[member]));
    setText(this.#rate, decimal(product.holds_per_second));
    setText(this.#end, sellOutWords(product));
  }
}
