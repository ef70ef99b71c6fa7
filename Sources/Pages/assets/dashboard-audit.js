// The last changes of the shop: who changed what, and when.

import { clock } from "./clock.js";
import { Poll } from "./dashboard-poll.js";
import { find, make, show } from "./dom.js";
import { count, shortTime } from "./format.js";

const shownCount = 20;

export class AuditLog {
  #poll = new Poll("/api/admin/audit-log", find("audit-error"), (body) => this.#render(body.changes.slice(0, shownCount)));
  #shown = "";
  /// The name of a product, or undefined.
  #nameOf;

  constructor(nameOf) {
    this.#nameOf = nameOf;
  }

  refresh() {
    this.#poll.refresh();
  }

  stop() {
    this.#poll.stop();
  }

  clear() {
    this.stop();
    this.#render([]);
  }

  #render(changes) {
    // Names of products may have arrived since.
    const lines = changes.map((change) => [change, this.#nameOf(change.product_id)]);
    if (JSON.stringify(lines) === this.#shown) return;
    this.#shown = JSON.stringify(lines);
    find("audit").replaceChildren(...lines.map(([change, name]) => lineOf(change, name)));
    show(find("audit-empty"), changes.length === 0);
  }
}

function lineOf(change, name) {
  const time = make("time", { dateTime: change.at, textContent: shortTime(change.at, clock.now()) });
  // Such as "product.paused" or "payment_event.settled".
  const [kind, verb] = change.action.split(".");
  const product = change.product_id == null ? null : name ?? `product ${change.product_id}`;
  const object = kind === "product" ? "" : ` ${/^[eo]/.test(kind) ? "an" : "a"} ${kind.replaceAll("_", " ")}${product ? " of" : ""}`;
  const what = make("span", {}, make("bdi", { className: "who" }, change.who), ` ${verb}${object}`);
  if (product) what.append(" ", make("bdi", {}, product));
  const line = make("li", {}, time, what);
  // Pausing and resuming have no other values than their names say.
  const isPause = change.to && "paused" in change.to;
  const details = isPause ? [] : detailsOf(change.from ?? {}, change.to ?? {});
  if (details.length) line.append(make("span", { className: "details" }, ...details));
  return line;
}

/// Such as "max_per_customer: 2 → 4".
function detailsOf(from, to) {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  return names.map((name) => {
    const values = new Set([from[name], to[name]].filter((value) => value !== undefined).map(textOf));
    return make("span", {}, `${name}: `, ...[...values].flatMap((value, index) => [index ? " → " : "", make("bdi", {}, value)]));
  });
}

function textOf(value) {
  if (value === null) return "none";
  if (typeof value === "number") return count(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
