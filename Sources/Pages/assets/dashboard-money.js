// Money that waits: payment events that an operator has to look at.

import { find, focusOn, make, setBusy, setText, show } from "./dom.js";
import { count, money, shortTime } from "./format.js";
import { clock } from "./clock.js";

/// The server sends at most so many.
const sentCount = 20;

const verdicts = {
  refund_due: ["To refund", "The order could not take this payment, so the money has to go back."],
  amount_mismatch: ["Wrong amount", "The amount or the currency is not the order's. The order is unchanged."],
  parked: ["No order yet", "The payment came before its order. It is applied when the order is placed."],
};

export class WaitingMoney {
  #rows = new Map();
  #changes;
  #session;
  #asked = null;

  constructor(changes, session) {
    this.#changes = changes;
    this.#session = session;
    const question = find("question");
    find("settle").addEventListener("click", () => this.#settle());
    find("keep").addEventListener("click", () => question.close());
    question.addEventListener("close", () => (this.#asked = null));
  }

  /// - waiting: `money_waiting` of a tick.
  render(waiting) {
    for (const verdict of Object.keys(verdicts)) {
      setText(find(`money-${verdict}`), count(waiting[verdict]));
      find(`money-${verdict}`).classList.toggle("warning", waiting[verdict] > 0);
    }
    const keys = new Set(waiting.events.map(keyOf));
    for (const [key, row] of this.#rows) if (!keys.has(key)) this.#remove(key, row);
    for (const event of waiting.events) {
      const key = keyOf(event);
      if (!this.#rows.has(key)) {
        this.#rows.set(key, new Row(event, () => this.#ask(event)));
        find("events").append(this.#rows.get(key).element);
      }
      this.#rows.get(key).render(event, this.#session.mayOperate, this.#changes.pending("settle", pathOf(event)));
    }
    show(find("no-events"), waiting.events.length === 0);
    show(find("more-events"), waiting.events.length >= sentCount);
  }

  clear() {
    find("question").close();
    for (const [key, row] of this.#rows) this.#remove(key, row);
  }

  #remove(key, row) {
    const hadFocus = row.element.contains(document.activeElement);
    row.element.remove();
    this.#rows.delete(key);
    if (hadFocus) focusOn(find("money-title"));
  }

  #ask(event) {
    if (this.#changes.pending("settle", pathOf(event))) return;
    this.#asked = event;
    const isParked = event.verdict === "parked";
    setText(find("question-amount"), amountOf(event));
    setText(find("question-order"), event.order_id);
    setText(find("question-effect"), isParked ? "The payment is then never applied to its order, even if the order comes." : "The order stays as it is.");
    find("question").showModal();
  }

  #settle() {
    const event = this.#asked;
    find("question").close();
    if (!event) return;
    const words = `${amountOf(event)} of ${event.order_id}`;
    this.#changes.begin({ kind: "settle", title: `Settle ${words}`, doneText: `Settled: ${words}.`, method: "POST", path: pathOf(event) });
  }
}

class Row {
  element = make("li");
  #name = make("strong");
  #button = make("button");
  #amount = make("span", { className: "amount" });
  #about = make("span", { className: "hint" });

  constructor(event, ask) {
    const time = make("time", { dateTime: event.received_at, textContent: shortTime(event.received_at, clock.now()) });
    const facts = make("span", { className: "hint" }, time, " · ", make("a", { href: `#${event.order_id}` }, make("code", {}, event.order_id)));
    this.element.append(make("span", { className: "event" }, this.#name, this.#amount, this.#about, facts), this.#button);
    this.#button.addEventListener("click", ask);
  }

  render(event, mayOperate, isPending) {
    const [name, about] = verdicts[event.verdict] ?? [event.verdict, ""];
    setText(this.#name, name);
    setText(this.#amount, amountOf(event));
    setText(this.#about, about);
    show(this.#button, mayOperate);
    setBusy(this.#button, isPending, isPending ? "Settling" : "Settle");
    this.#button.ariaLabel = `${this.#button.textContent} ${amountOf(event)} of ${event.order_id}`;
  }
}

const keyOf = (event) => JSON.stringify([event.idempotency_key, event.order_id]);
const pathOf = (event) => `/api/admin/payment-events/${encodeURIComponent(event.idempotency_key)}/settle`;

function amountOf({ amount, currency }) {
  return amount == null || !currency ? "Amount not told" : money(amount, currency);
}
