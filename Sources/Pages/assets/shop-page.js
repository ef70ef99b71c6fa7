// The page of all products.
//
// A stream has one product, and a browser has only six connections for each host. So this page asks for the list every two
// seconds while it is shown. The server shares one read among all who ask at the same time.

import { call, secondsToWait } from "./api.js";
import { announce, find, make, setText, show } from "./dom.js";
import { count, duration, money } from "./format.js";
import { startWords, statusLabel, stockWords } from "./product-status.js";
import { outageOf } from "./refusals.js";

const pollMs = 2000;
/// The order of the list when the page opens. It stays then, so that no link moves away under a pointer.
const statusOrder = ["on_sale", "line", "reserved_out", "upcoming", "paused", "sold_out", "ended"];

/// The products' parts of the page, by id.
const rows = new Map();
let products = [];
let failures = 0;
let failure = null;
let nextAt = 0;
let timer = 0;
let isAsking = false;

async function refresh() {
  clearTimeout(timer);
  if (document.hidden || isAsking) return;
  isAsking = true;
  const answer = await call("GET", "/api/products");
  isAsking = false;
  failures = answer.ok ? 0 : failures + 1;
  failure = answer.ok ? null : answer;
  if (answer.ok) adopt(answer.body.products);
  if (failures === 2) announce(`${outageOf(answer)} The page tries again.`);
  const delay = answer.ok ? pollMs * (0.75 + Math.random() / 2) : secondsToWait(answer, failures) * 1000;
  nextAt = performance.now() + delay;
  timer = setTimeout(refresh, delay);
  tick();
}

function adopt(list) {
  const isFirst = rows.size === 0;
  products = list;
  const sorted = isFirst ? [...list].sort((a, b) => rank(a) - rank(b) || startOf(a) - startOf(b) || a.id - b.id) : list;
  for (const product of sorted) {
    if (!rows.has(product.id)) {
      rows.set(product.id, new Row());
      find("products").append(rows.get(product.id).element);
    }
    rows.get(product.id).render(product);
  }
  for (const [id, row] of rows) {
    if (list.some((product) => product.id === id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  const open = list.filter((product) => ["on_sale", "line", "reserved_out"].includes(product.status)).length;
  setText(
    find("lead"),
    list.length === 0
      ? "There is no product yet. This page shows it as soon as there is one."
      : open === 0
        ? "Nothing is on sale right now. This page shows it when that changes."
        : `${open === 1 ? "One product is" : `${count(open)} products are`} on sale now. The numbers are live.`,
  );
}

const rank = (product) => (statusOrder.indexOf(product.status) + statusOrder.length + 1) % (statusOrder.length + 1);
const startOf = (product) => Date.parse(product.starts_at ?? "") || 0;

/// One product of the list.
class Row {
  element = make("li", { className: "row" });
  #status = make("span", { className: "status" });
  #name = make("a", { dir: "auto" });
  #price = make("span", { className: "price" });
  #available = make("strong");
  #ofTotal = make("span");
  #bar = make("progress", { ariaHidden: "true" });
  #stock = make("p", { className: "stock-figure" }, this.#available, " ", this.#ofTotal);

  constructor() {
    const about = make("div", { className: "row-about" }, make("h2", {}, this.#name), this.#price);
    this.element.append(about, this.#status, make("div", { className: "row-stock" }, this.#stock, this.#bar));
  }

  render(product) {
    setText(this.#name, product.name);
    this.#name.href = `/p/${product.id}`;
    setText(this.#price, money(product.price, product.currency));
    this.#status.dataset.status = product.status;
    this.element.dataset.status = product.status;
    this.tick(product);
    const [available, ofTotal] = stockWords(product);
    setText(this.#available, available);
    setText(this.#ofTotal, ofTotal);
    Object.assign(this.#bar, { max: Math.max(1, product.total_stock), value: product.available_stock });
  }

  tick(product) {
    setText(this.#status, startWords(product) ?? statusLabel(product));
  }
}

function tick() {
  for (const product of products) if (product.status === "upcoming") rows.get(product.id)?.tick(product);
  const line = find("connection");
  line.dataset.state = document.hidden ? "hidden" : failure ? "waiting" : rows.size || products.length === 0 ? "live" : "connecting";
  const rest = nextAt - performance.now();
  setText(line, failure ? `${outageOf(failure)} Trying again${rest > 0 ? ` in ${duration(rest)}` : ""}` : "Live");
  find("products").classList.toggle("stale", failures > 1);
  if (failure && rows.size === 0) setText(find("lead"), `${outageOf(failure)} The page tries again.`);
  show(find("products"), rows.size > 0);
}

document.addEventListener("visibilitychange", refresh);
addEventListener("pageshow", (event) => event.persisted && refresh());
addEventListener("online", refresh);
setInterval(tick, 500);
refresh();
