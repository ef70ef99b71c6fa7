// One order: its state, its payments, its refunds, and the refund that an operator records.
//
// The address has the order, such as /dashboard#order_…, so a link leads to it, and the back button leaves it.

import { clock } from "./clock.js";
import { Poll } from "./dashboard-poll.js";
import { announce, find, focusOn, make, setBusy, setInvalid, setText, show } from "./dom.js";
import { amountText, count, minorAmount, money, shortTime, units } from "./format.js";

const idPattern = /^order_[0-9a-f]{32}$/;

const eventNames = {
  success: "Payment",
  failed: "Failed payment",
  attempt_failed: "Failed attempt",
  refunded_total: "Refunds at the provider, in total",
  refund: "Refund at the provider",
  dispute_open: "Dispute opened",
  dispute_won: "Dispute won",
  dispute_lost: "Dispute lost",
};
const verdicts = {
  applied: "took effect",
  parked: "waits for its order",
  reacquired: "paid the order after its end",
  refund_due: "the money has to go back",
  amount_mismatch: "wrong amount",
  ignored: "no effect",
  attempt_failed: "no effect",
  settled: "settled money that had to go back",
};

export class OrderPanel {
  #changes;
  #session;
  #id = null;
  #poll = null;
  #order = null;
  #shown = "";
  /// The order of the question.
  #asked = null;

  constructor(changes, session) {
    this.#changes = changes;
    this.#session = session;
    find("order-id").addEventListener("input", () => refuse("order", ""));
    find("refund-button").addEventListener("click", () => this.#ask());
    find("refund-keep").addEventListener("click", () => find("refund").close());
    find("refund-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#refund();
    });
    changes.addEventListener("done", () => this.refresh());
  }

  /// The product of the order on the page.
  get productID() {
    return this.#order?.product_id;
  }

  /// Shows the order of the address, if it has one.
  async follow(takesFocus) {
    const id = location.hash.slice(1).match(idPattern)?.[0] ?? null;
    if (id === this.#id) return;
    this.clear();
    if (!id) return;
    this.#id = id;
    find("order-id").value = id;
    this.#poll = new Poll(`/api/admin/orders/${id}`, find("order-error"), (order) => this.#adopt(order));
    await this.#poll.refresh();
    if (id !== this.#id || !takesFocus) return;
    if (this.#order) return focusOn(find("order-title"));
    announce(find("order-error").textContent);
    if (document.activeElement !== find("order-id")) focusOn(find("orders-title"));
  }

  refresh() {
    this.#poll?.refresh();
  }

  stop() {
    this.#poll?.stop();
  }

  clear() {
    this.stop();
    [this.#id, this.#poll, this.#order, this.#shown] = [null, null, null, ""];
    find("refund").close();
    show(find("order"), false);
    for (const part of ["order-facts", "order-events", "order-refunds"]) find(part).replaceChildren();
    find("order-id").value = "";
    refuse("order", "");
  }

  /// Shows an order by its id, or by the id of its hold, which has the same digits.
  find(text) {
    const id = text.replace(/^hold_/, "order_");
    if (!idPattern.test(id)) return refuse("order", "An id is order_ or hold_ and 32 digits or letters from a to f.");
    if (id === this.#id) this.refresh();
    else location.hash = id;
  }

  #adopt(order) {
    this.#order = order;
    show(find("order"), true);
    this.render();
  }

  render() {
    const order = this.#order;
    if (!order) return;
    const button = find("refund-button");
    const isPending = this.#changes.pending("refund", pathOf(order));
    const isUseful = order.refundable_amount > 0 || mayOnlyRestock(order);
    const hadFocus = document.activeElement === button;
    setBusy(button, isPending, isPending ? "Recording" : mayOnlyRestock(order) ? "Put its units back on sale" : "Refund");
    show(button, isUseful && this.#session.mayOperate);
    if (hadFocus && button.hidden) focusOn(find("order-title"));
    if (JSON.stringify(order) === this.#shown) return;
    this.#shown = JSON.stringify(order);
    setText(find("order-title"), `${stateOf(order)} order`);
    const facts = factsOf(order).filter(([, value]) => value);
    find("order-facts").replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    fill("order-events", order.payment_events.map(lineOfEvent));
    fill("order-refunds", order.refunds.map(lineOfRefund));
  }

  #ask() {
    const order = this.#order;
    if (!order || this.#changes.pending("refund", pathOf(order))) return;
    this.#asked = order;
    const isRestock = mayOnlyRestock(order);
    setText(find("refund-title"), isRestock ? "Put the units back on sale?" : "Record a refund?");
    setText(
      find("refund-about"),
      isRestock
        ? `All money of ${order.order_id} went back to the buyer. Its ${units(order.quantity)} can go back on sale.`
        : `At most ${money(order.refundable_amount, order.currency)} of ${order.order_id}. You say that this money went back to the buyer. FlashSale records that, and sends no money.`,
    );
    show(find("refund-fields"), !isRestock);
    setText(find("refund-currency"), order.currency);
    find("refund-amount").value = amountText(order.refundable_amount, order.currency);
    find("refund-restock").checked = isRestock;
    find("refund-reason").value = "";
    refuse("refund", "");
    setText(find("refund-confirm"), isRestock ? "Put them back" : "Record the refund");
    find("refund").showModal();
  }

  #refund() {
    const order = this.#asked;
    const { refundable_amount: most, currency } = order;
    const isRestock = mayOnlyRestock(order);
    const amount = minorAmount(find("refund-amount").value, currency);
    const restock = find("refund-restock").checked;
    const isValid = isRestock || (amount >= 1 && amount <= most);
    if (!isValid) return refuse("refund", `Enter an amount from ${money(1, currency)} to ${money(most, currency)}.`);
    if (restock && amount < most) return refuse("refund", "The units can go back on sale only when all of the money has gone back.");
    find("refund").close();
    const body = isRestock ? { restock } : { amount, restock };
    const reason = find("refund-reason").value.trim();
    if (reason) body.reason = reason;
    const words = `${isRestock ? units(order.quantity) : money(amount, currency)} of ${order.order_id}`;
    this.#changes.begin({
      kind: "refund",
      title: isRestock ? `Put ${words} back on sale` : `Refund ${words}`,
      doneText: isRestock ? `Back on sale: ${words}.` : `Recorded as refunded: ${words}.`,
      method: "POST",
      path: pathOf(order),
      body,
      currency,
    });
  }
}

const pathOf = (order) => `/api/admin/orders/${order.order_id}/refunds`;

/// Whether the provider told of the whole refund, and the units are still those of the order.
const mayOnlyRestock = (order) => order.status === "refunded" && !order.restocked;

export function stateOf({ status, refunded_amount: refunded }) {
  if (status === "pending_payment") return "Unpaid";
  return status === "paid" && refunded > 0 ? "Partly refunded" : status[0].toUpperCase() + status.slice(1);
}

function factsOf(order) {
  const { currency, refunded_amount: refunded, dispute, metadata } = order;
  const when = (time) => time && make("time", { dateTime: time }, shortTime(time, clock.now()));
  return [
    ["Order", make("code", {}, order.order_id)],
    ["Product", String(order.product_id)],
    ["Quantity", count(order.quantity)],
    ["Amount", money(order.amount, currency)],
    ["Refunded", refunded > 0 && `${money(refunded, currency)}${order.restocked ? ", units back on sale" : ""}`],
    ["Dispute", dispute],
    ["Customer", order.customer_id && make("bdi", {}, order.customer_id)],
    ["Ordered at", when(order.created_at)],
    ["Paid at", when(order.paid_at)],
    ...Object.entries(metadata ?? {}).map(([name, value]) => [make("bdi", {}, name), make("bdi", {}, value)]),
  ];
}

function lineOfEvent({ status, amount, currency, verdict, received_at: time, settled_at: settled, idempotency_key: key }) {
  const sum = amount == null || !currency ? "" : money(amount, currency);
  const end = settled ? `, settled ${shortTime(settled, clock.now())}` : "";
  return lineOf(`${eventNames[status] ?? status} ${sum}`, time, `${verdicts[verdict] ?? verdict}${end}`, make("code", {}, key));
}

function lineOfRefund({ amount, currency, restock, reason, source, created_at: time }) {
  const words = `${source === "provider" ? "told by the provider" : "recorded by an operator"}${restock ? ", with restock" : ""}`;
  return lineOf(money(amount, currency), time, words, make("bdi", {}, reason ?? ""));
}

function lineOf(title, time, words, detail) {
  const facts = [make("time", { dateTime: time }, shortTime(time, clock.now())), ` · ${words} `, detail];
  return make("li", {}, make("strong", {}, title), make("span", { className: "hint" }, ...facts));
}

function fill(list, lines) {
  find(list).replaceChildren(...(lines.length ? lines : [make("li", { className: "hint" }, "None.")]));
}

/// Says below a field why its value is not valid. Without a text, it is valid.
function refuse(name, text) {
  const field = find(name === "order" ? "order-id" : "refund-amount");
  setText(find(`${name}-error`), text);
  show(find(`${name}-error`), text);
  setInvalid(field, Boolean(text));
  if (!text) return;
  field.focus();
  announce(text);
}
