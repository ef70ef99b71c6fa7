// The payment provider of the demo. It sends what a real provider may send, and shows what each event did.
//
// A demo accepts payment events without a signature, so the page can send them itself. A real server refuses them.

import { call, mayBeRepeated, secondsToWait } from "./api.js";
import { clock } from "./clock.js";
import { announce, make, setText } from "./dom.js";
import { duration } from "./format.js";
import { orderIDOf } from "./purchase.js";
import { faultOf } from "./refusals.js";
import { ofThisTab, randomKey } from "./storage.js";

const mostAttempts = 8;
/// sessionStorage: the order that the provider pays when it has expired.
const lateName = "flashsale.provider.late";

const verdicts = {
  applied: "The event took effect.",
  parked: "There is no such order yet. The event waits, and takes effect when the order is placed.",
  reacquired: "The order was over. It took its units again, and is paid.",
  refund_due: "The money has to go back: the order is paid already, or its units are gone.",
  amount_mismatch: "The amount is not the order's.",
  ignored: "The event changed nothing, because the order was paid or over.",
};

const statuses = { pending_payment: "unpaid", paid: "paid", cancelled: "cancelled", expired: "expired", refunded: "refunded" };

export class DemoProvider {
  #purchase;
  #heading = make("h3", {}, "Demo payment provider");
  #intro = make("p", { className: "hint" });
  #buttons = make("div", { className: "actions" });
  #late = make("p", { className: "hint" });
  #log = make("ol", { className: "log", ariaLabel: "What each payment event did" });
  #shown = "";
  /// The last success, to be sent again.
  #lastPayment = null;

  constructor(container, purchase) {
    this.#purchase = purchase;
    container.className = "provider";
    container.append(this.#heading, this.#intro, this.#buttons, this.#late, this.#log);
    setInterval(() => this.#tick(), 500);
    this.render();
  }

  render() {
    const stage = this.#purchase.stage;
    const actions = this.#actions(stage);
    const isShown = actions.length > 0;
    this.#heading.parentElement.hidden = !isShown;
    const names = actions.map(([name]) => name).join();
    if (names !== this.#shown) {
      this.#shown = names;
      setText(this.#intro, intros[stage] ?? intros.over);
      this.#buttons.replaceChildren(
        ...actions.map(([name, action], index) => {
          const isMain = index === 0 && stage === "unpaid";
          const button = make("button", { type: "button", className: isMain ? "primary" : "" }, name);
          button.addEventListener("click", () => action.call(this));
          return button;
        }),
      );
    }
    this.#tick();
  }

  #actions(stage) {
    switch (stage) {
      case "held":
        return [["Pay before the order", this.#payBefore]];
      case "unpaid":
        return [["Pay", this.#pay], ["Decline", this.#decline], ["Pay twice", this.#payTwice],
          [this.#isLate ? "Do not pay late" : "Pay late", this.#toggleLate]];
      case "paid":
        return [...(this.#lastPayment?.order_id === this.#orderID ? [["Send the payment again", this.#sendAgain]] : []),
          ["Pay a second time", this.#pay], ["Decline after the payment", this.#decline]];
      case "cancelled":
      case "expired":
        return [["Pay all the same", this.#pay]];
      default:
        return [];
    }
  }

  // MARK: What a provider may do

  async #pay() {
    this.#lastPayment = this.#event("success");
    await this.#send(this.#shownName("Payment"), this.#lastPayment);
  }

  async #decline() {
    await this.#send("Decline", this.#event("failed"));
  }

  async #payTwice() {
    this.#lastPayment = this.#event("success");
    await Promise.all([this.#send("First delivery", this.#lastPayment), this.#send("Second delivery", this.#lastPayment)]);
  }

  async #sendAgain() {
    await this.#send("The same event again", this.#lastPayment);
  }

  async #payBefore() {
    this.#lastPayment = this.#event("success");
    await this.#send("Payment before the order", this.#lastPayment);
  }

  #toggleLate() {
    if (this.#isLate) ofThisTab.remove(lateName);
    else ofThisTab.write(lateName, this.#orderID);
    const { order } = this.#purchase;
    announce(this.#isLate ? `The provider pays in ${duration(clock.until(order.payment_due_at))}.` : "The provider does not pay late.");
    this.render();
    this.#buttons.lastElementChild.focus();
  }

  get #isLate() {
    return this.#orderID !== null && ofThisTab.read(lateName) === this.#orderID;
  }

  /// Pays late once the order has expired. A payment before that would still be in time.
  #tick() {
    const { order } = this.#purchase;
    if (!order || !this.#isLate) return setText(this.#late, "");
    if (order.status === "pending_payment") {
      const rest = clock.until(order.payment_due_at);
      return setText(this.#late, rest > 0 ? `The provider pays after the order has expired, in ${duration(rest)}.` : "The order expires now.");
    }
    ofThisTab.remove(lateName);
    if (order.status !== "expired") return;
    this.#lastPayment = this.#event("success");
    this.#send("Late payment", this.#lastPayment);
  }

  // MARK: Events

  get #orderID() {
    const { order, hold } = this.#purchase;
    return order?.order_id ?? (hold ? orderIDOf(hold.hold_id) : null);
  }

  #shownName(name) {
    return { paid: "Second payment", cancelled: "Late payment", expired: "Late payment" }[this.#purchase.stage] ?? name;
  }

  #event(status) {
    const event = { idempotency_key: `demo-${randomKey()}`, order_id: this.#orderID, status };
    const { order } = this.#purchase;
    // Before the order exists, the provider does not know the amount.
    if (order) Object.assign(event, { amount: order.amount, currency: order.currency });
    return event;
  }

  /// Sends an event until the server answers, as providers do.
  async #send(name, event) {
    const line = make("li", {}, make("strong", {}, name), make("span", {}, " is on its way."));
    this.#log.prepend(line);
    for (let attempt = 1; ; attempt += 1) {
      const answer = await call("POST", "/api/payments/webhook", { body: event });
      if (answer.ok) {
        this.#tell(line, name, answer);
        break;
      }
      const isLast = !mayBeRepeated(answer) || attempt === mostAttempts;
      const reason = mayBeRepeated(answer) ? faultOf(answer) : (answer.body?.detail ?? `Status ${answer.status}.`);
      setText(line.lastElementChild, ` was not accepted. ${reason}`);
      if (isLast) return announce(line.textContent);
      await new Promise((resolve) => setTimeout(resolve, secondsToWait(answer, attempt) * 1000));
    }
    await this.#purchase.refresh();
  }

  #tell(line, name, answer) {
    const { verdict, order_status: status } = answer.body;
    const replay = answer.isReplay ? " It was sent before, so it did nothing more." : "";
    const order = status ? ` The order is ${statuses[status] ?? status}.` : "";
    line.replaceChildren(
      make("strong", {}, name),
      make("code", {}, verdict),
      ...(answer.isReplay ? [make("code", {}, "replayed")] : []),
      make("span", {}, `${verdicts[verdict] ?? ""}${replay}${order}`),
    );
    announce(`${name}: ${verdict}. ${replay}${order}`);
  }
}

const intros = {
  held: "A provider may report a payment before the order exists. Try it, then place the order.",
  unpaid: "Nothing is charged. Choose what the provider reports to the shop.",
  paid: "Providers repeat themselves. See what the shop makes of it.",
  over: "A provider may report a payment after the order is over. See what the shop makes of it.",
};
