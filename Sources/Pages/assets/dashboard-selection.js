// The selected product, or the whole shop: its stock, its rates, and what an operator can change.

import { LineChart, StockBar, stockParts } from "./chart.js";
import { find, setBusy, setText, show } from "./dom.js";
import { count, decimal, money, units } from "./format.js";
import { sellOutWords } from "./dashboard-products.js";
import { startWords, statusLabel } from "./product-status.js";

const rates = ["holds_per_second", "orders_per_second", "payments_per_second"];
/// The API takes whole numbers of 32 bits.
const greatestDelta = 2 ** 31 - 1;

export class Selection {
  #bar = new StockBar();
  #charts = ["Holds a second", "Orders a second", "Payments a second"].map((title) => new LineChart(title, [""], decimal));
  #changes;
  #session;
  #product = null;
  #shownID;

  constructor(changes, session) {
    this.#changes = changes;
    this.#session = session;
    find("selection-bar").append(this.#bar.element);
    find("rate-charts").append(...this.#charts.map(({ element }) => element));
    find("pause").addEventListener("click", () => this.#pause());
    find("delta").addEventListener("input", () => find("delta").getAttribute("aria-invalid") && this.#delta());
    find("restock").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#restock();
    });
  }

  /// The rates that the charts of this selection show later.
  static ratesOf(rated) {
    return rates.map((name) => rated[name]);
  }

  /// - product: null for the whole shop.
  /// - samples: of the product or the shop, as `LineChart` takes them.
  render(product, samples, now) {
    const id = product?.id ?? null;
    // Units that were typed for one product must not go to another one.
    if (id !== this.#shownID) this.#clearForm();
    this.#shownID = id;
    this.#product = product;
    setText(find("selection-name"), product?.name ?? "Whole shop");
    find("selection-name").classList.toggle("long", (product?.name.length ?? 0) > 40);
    for (const part of ["selection-status", "selection-facts", "selection-stock"]) show(find(part), product);
    show(find("controls"), product && this.#session.mayOperate);
    if (product) this.#renderProduct(product);
    for (const [index, chart] of this.#charts.entries()) {
      chart.draw(samples.map(({ time, values }) => ({ time, values: [values[index]] })), now);
    }
  }

  #renderProduct(product) {
    const status = find("selection-status");
    setText(status, startWords(product) ?? statusLabel(product));
    status.dataset.status = product.status;
    setText(find("selection-price"), `Product ${product.id}, ${money(product.price, product.currency)}`);
    find("buyers-page").href = `/p/${product.id}`;
    this.#bar.render(product);
    setText(find("sum-total"), count(product.total_stock));
    for (const [part, member] of stockParts) setText(find(`sum-${part}`), count(product[member]));
    const end = sellOutWords(product);
    setText(find("sell-out"), end === "–" ? "No sell-out in sight." : `At this rate sold out in ${end}.`);
    const isPaused = product.status === "paused";
    const isPausing = this.#changes.pending("pause", pathOf(product));
    const isResuming = this.#changes.pending("resume", pathOf(product));
    const words = isPausing ? "Pausing" : isResuming ? "Resuming" : isPaused ? "Resume the sale" : "Pause the sale";
    setBusy(find("pause"), isPausing || isResuming, words);
    show(find("pause"), product.status !== "ended");
    const isRestocking = this.#changes.pending("restock", `${pathOf(product)}/stock`);
    setBusy(find("restock-button"), isRestocking, isRestocking ? "Restocking" : "Restock");
  }

  #pause() {
    const product = this.#product;
    const path = product && pathOf(product);
    if (!product || this.#changes.pending("pause", path) || this.#changes.pending("resume", path)) return;
    const paused = product.status !== "paused";
    const name = isolated(product.name);
    this.#changes.begin({
      kind: paused ? "pause" : "resume",
      title: `${paused ? "Pause" : "Resume"} ${name}`,
      doneText: paused ? `${name} is paused. Holds and orders that exist go on.` : `${name} is no longer paused.`,
      method: "PATCH",
      path,
      body: { paused },
    });
  }

  #restock() {
    const product = this.#product;
    if (!product || this.#changes.pending("restock", `${pathOf(product)}/stock`)) return;
    const delta = this.#delta();
    if (delta === null) return find("delta").focus();
    const name = isolated(product.name);
    const amount = units(Math.abs(delta));
    this.#changes.begin({
      kind: "restock",
      title: delta > 0 ? `Add ${amount} to ${name}` : `Take ${amount} from ${name}`,
      doneText: `${name} has ${amount} ${delta > 0 ? "more" : "less"}.`,
      method: "POST",
      path: `${pathOf(product)}/stock`,
      body: { delta },
    });
    find("delta").value = "";
  }

  /// The number in the form. Null, with the reason on the page, if it is not valid.
  #delta() {
    const field = find("delta");
    const delta = Number(field.value);
    const isValid = field.value !== "" && Number.isInteger(delta) && delta !== 0 && Math.abs(delta) <= greatestDelta;
    setText(find("delta-error"), isValid ? "" : "Enter a whole number. A negative one takes units off sale.");
    show(find("delta-error"), !isValid);
    if (isValid) field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
    return isValid ? delta : null;
  }

  #clearForm() {
    find("delta").value = "";
    find("delta").removeAttribute("aria-invalid");
    show(find("delta-error"), false);
  }
}

const pathOf = (product) => `/api/admin/products/${product.id}`;

/// The isolates (U+2068, U+2069) keep a right-to-left name from turning the words around it.
const isolated = (name) => `\u2068${name}\u2069`;
