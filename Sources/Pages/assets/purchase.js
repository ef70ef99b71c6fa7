// A purchase of one product: from the click to the receipt.
//
//     choosing -> asking -> held -> ordering -> unpaid -> paid -> refunded
//                                                      -> cancelled | expired (-> paid, by a late payment)
//
// A click. The page makes a key, writes the request and the key to sessionStorage, and then sends the request. If no
// answer comes, or one that leaves the outcome open, it sends the same request again under the same key. A reload finds
// the request and does the same. The server has one effect for each key, so there is one hold, and one order.
//
// A reload. The ids of the hold and of the order are in localStorage. The page reads their state from the API.
//
// Two tabs. A browser has one purchase of a product at a time, and all tabs show it: a tab that changes it writes
// localStorage, and the event `storage` makes the other tabs read the API again. A tab that asks for a hold has the lock
// of the product (Web Locks). So of two clicks in two tabs, the second one waits, and finds the hold of the first. A page
// without a secure context has no such locks. There, two clicks at the same moment can make two holds. The tabs then show
// the later one, and the other one expires.

import { call, mayBeRepeated, secondsToWait } from "./api.js";
import { clock } from "./clock.js";
import { faultOf, refusalOf } from "./refusals.js";
import { buyerID, ofAllTabs, ofThisTab, randomKey } from "./storage.js";

/// A reload does not repeat a request for a hold that is older. The buyer may have gone since, and its hold has expired.
const oldestRequestMs = 10 * 60_000;
const firstPollMs = 2000;
const longestPollMs = 8000;
/// A tab that waits longer for the lock says so.
const otherTabMs = 1000;
/// A browser ends a longer timer at once.
const longestTimerMs = 2 ** 31 - 1;

export class Purchase extends EventTarget {
  hold = null;
  order = null;
  /// The request that has no answer yet: `{kind: "hold" | "order", key, body, sentAt, isStopped}`.
  request = null;
  /// While the page waits before it repeats a request: `{number, text, until}`, `until` by `performance.now()`.
  attempt = null;
  /// See refusals.js. It also has the news that a hold is over.
  refusal = null;
  /// The least time at which the hold ends, by `performance.now()`, and the hold's whole time in milliseconds.
  holdEndsAt = 0;
  holdLastsMs = 0;

  #productID;
  #requestName;
  #recordName;
  #isFinding = true;
  #isAsking = false;
  #wake = null;
  #pollTimer = 0;
  #pollMs = firstPollMs;
  #generation = 0;

  constructor(productID) {
    super();
    this.#productID = productID;
    this.#requestName = `flashsale.request.${productID}`;
    this.#recordName = `flashsale.purchase.${productID}`;
  }

  get stage() {
    if (this.request && !this.request.isStopped) return this.request.kind === "hold" ? "asking" : "ordering";
    if (this.order) return this.order.status === "pending_payment" ? "unpaid" : this.order.status;
    if (this.hold) return "held";
    return this.#isFinding ? "finding" : "choosing";
  }

  /// Goes on where the last page of this tab, or another tab, has stopped.
  async start() {
    addEventListener("storage", (event) => event.key === this.#recordName && this.refresh());
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    addEventListener("pageshow", (event) => event.persisted && this.refresh());
    this.request = ofThisTab.read(this.#requestName);
    const age = Date.now() - (this.request?.sentAt ?? 0);
    if (this.request?.kind === "hold" && !(age >= 0 && age < oldestRequestMs)) this.#forgetRequest();
    await this.refresh();
    if (this.request && !this.request.isStopped) await this.#ask();
  }

  // MARK: What the buyer does

  /// - needsCustomer: whether the product has a limit for each customer.
  async placeHold(quantity, needsCustomer) {
    if (this.stage !== "choosing") return;
    const body = { product_id: this.#productID, quantity };
    if (needsCustomer) body.customer_id = buyerID();
    await this.#begin("hold", body);
  }

  async placeOrder() {
    if (this.stage === "held") await this.#begin("order", { hold_id: this.hold.hold_id });
  }

  async release() {
    if (this.stage !== "held") return;
    const answer = await call("DELETE", `/api/holds/${this.hold.hold_id}`);
    if (answer.ok) {
      this.#end({ title: "You gave your units back", text: "Other buyers can hold them now. Nothing was ordered." });
    } else if (answer.problem === "hold-expired" || answer.status === 404) {
      this.#end(hasExpired);
    } else if (answer.problem === "hold-already-ordered") {
      this.#remember({ order_id: answer.body.order_id });
      await this.refresh();
    } else {
      this.refusal = {
        title: "The units are not given back yet",
        text: `${faultOf(answer)} Press the button again, or leave it: the hold ends by itself.`,
      };
      this.#changed();
    }
  }

  /// Ends the wait before the next attempt.
  askNow() {
    this.#wake?.();
  }

  /// Stops repeating the request. The same click later uses the same key, so it finds what the request did.
  stopAsking() {
    if (!this.request) return;
    this.request.isStopped = true;
    ofThisTab.write(this.#requestName, this.request);
    this.attempt = null;
    const isHold = this.request.kind === "hold";
    this.refusal = {
      title: "You stopped before an answer came",
      text: isHold
        ? "The shop may hold units for you. Press the button again to find out. Otherwise they go back on sale by themselves."
        : "The order may have been placed. Press the button again to find out. It cannot be placed twice.",
    };
    this.#wake?.();
    this.#changed();
  }

  /// Forgets a finished purchase, so that another one can begin.
  startAgain() {
    this.#end(null);
  }

  // MARK: What the server says

  /// Reads the state of the hold or the order from the API.
  async refresh() {
    clearTimeout(this.#pollTimer);
    const generation = ++this.#generation;
    const record = ofAllTabs.read(this.#recordName);
    if (!record) {
      // Another tab has ended the purchase.
      if (this.hold) this.refusal = isOver;
      if (this.order) this.refusal = null;
      [this.hold, this.order, this.#isFinding] = [null, null, false];
      return this.#changed();
    }
    const path = record.order_id ? `/api/orders/${record.order_id}` : `/api/holds/${record.hold_id}`;
    const answer = await call("GET", path);
    if (generation !== this.#generation) return;
    if (answer.status === 404) return this.#end(null);
    if (!answer.ok) return this.#pollLater();
    this.#isFinding = false;
    if (record.order_id) this.#adoptOrder(answer.body);
    else await this.#adoptHold(answer.body, answer);
  }

  #adoptOrder(order) {
    const isNews = this.order?.order_id !== order.order_id || this.order.status !== order.status;
    this.order = order;
    this.hold = null;
    if (isNews) {
      this.refusal = null;
      this.#pollMs = firstPollMs;
      this.#remember({ order_id: order.order_id, status: order.status });
    }
    // A late payment can still pay an order that is over. The tab then finds out when it is shown again.
    if (order.status === "pending_payment") this.#pollLater();
    this.#changed();
  }

  async #adoptHold(hold, answer) {
    if (hold.status === "ordered") {
      // The order has the digits of its hold.
      this.#remember({ order_id: orderIDOf(hold.hold_id) });
      return this.refresh();
    }
    if (hold.status !== "active") return this.#end(hold.status === "released" ? wasReleased : hasExpired);
    clock.observeHold(hold, answer.sent, answer.received);
    // The server cuts the time to whole seconds. So this end is never later than the real one.
    const endsAt = answer.sent + hold.expires_in_seconds * 1000;
    const isKnown = this.hold?.hold_id === hold.hold_id;
    this.holdEndsAt = isKnown ? Math.max(this.holdEndsAt, endsAt) : endsAt;
    const record = ofAllTabs.read(this.#recordName);
    this.holdLastsMs = record?.lasts_ms ?? hold.expires_in_seconds * 1000;
    this.hold = hold;
    this.order = null;
    if (!isKnown) this.refusal = null;
    this.#remember({ hold_id: hold.hold_id, lasts_ms: this.holdLastsMs });
    const rest = Math.min(Math.max(1000, this.holdEndsAt - performance.now()), longestTimerMs);
    this.#pollTimer = setTimeout(() => this.refresh(), rest);
    this.#changed();
  }

  #pollLater() {
    clearTimeout(this.#pollTimer);
    const delay = this.#pollMs * (0.75 + Math.random() / 2);
    this.#pollMs = Math.min(this.#pollMs * 1.2, longestPollMs);
    this.#pollTimer = setTimeout(() => (document.hidden ? this.#pollLater() : this.refresh()), delay);
  }

  // MARK: Requests

  async #begin(kind, body) {
    const earlier = this.request;
    const isSame = earlier?.kind === kind && JSON.stringify(earlier.body) === JSON.stringify(body);
    this.request = { kind, key: isSame ? earlier.key : randomKey(), body, sentAt: Date.now(), isStopped: false };
    ofThisTab.write(this.#requestName, this.request);
    this.refusal = null;
    this.#changed();
    await this.#ask();
  }

  /// Sends the request until an answer settles it, or the buyer stops.
  async #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    while (this.request && !this.request.isStopped) {
      const timer = setTimeout(() => this.#tellOfOtherTab(), otherTabMs);
      await withLock(this.#recordName, async () => {
        clearTimeout(timer);
        this.attempt = null;
        // Another tab may have a hold, or the order, since.
        const record = ofAllTabs.read(this.#recordName);
        const isDone = this.request?.kind === "hold" ? record : record?.order_id;
        if (!isDone) return this.request && this.#repeat(this.request);
        this.#forgetRequest();
        await this.refresh();
      });
    }
    this.#isAsking = false;
  }

  #tellOfOtherTab() {
    if (!this.request || this.request.isStopped) return;
    const text = "Another tab of yours asks for this product already. This tab waits for its answer.";
    this.attempt = { number: 0, text, until: null };
    this.#changed();
  }

  async #repeat(request) {
    for (let number = 1; !request.isStopped; number += 1) {
      const answer = await call("POST", request.kind === "hold" ? "/api/holds" : "/api/orders", request);
      // The buyer may have stopped in the meantime. An answer still counts.
      if (!mayBeRepeated(answer)) return this.#settle(request, answer);
      if (request.isStopped) return;
      const milliseconds = secondsToWait(answer, number) * 1000;
      this.attempt = { number: number + 1, text: faultOf(answer), until: performance.now() + milliseconds };
      this.#changed();
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, milliseconds);
      });
      this.attempt = request.isStopped ? null : { ...this.attempt, until: null };
      this.#changed();
    }
  }

  async #settle(request, answer) {
    this.attempt = null;
    // The buyer stopped this request, and has sent another one since: only its success counts.
    if (!answer.ok && this.request?.key !== request.key) return;
    this.#forgetRequest();
    if (answer.ok && request.kind === "hold") {
      this.#remember({ hold_id: answer.body.hold_id, lasts_ms: answer.body.expires_in_seconds * 1000 });
      await this.#adoptHold(answer.body, answer);
    } else if (answer.ok) {
      if (!answer.isReplay) clock.observeNewOrder(answer.body, answer.sent, answer.received);
      this.#adoptOrder(answer.body);
    } else if (answer.problem === "hold-already-ordered") {
      this.#remember({ order_id: answer.body.order_id });
      await this.refresh();
    } else if (answer.problem === "hold-expired" || answer.problem === "hold-released" || isGone(request, answer)) {
      this.#end(answer.problem === "hold-released" ? wasReleased : hasExpired);
    } else {
      this.refusal = refusalOf(answer, request.body.quantity);
      this.#changed();
    }
  }

  #forgetRequest() {
    this.request = null;
    ofThisTab.remove(this.#requestName);
  }

  // MARK: The record

  /// Writes the record. Other tabs get the event `storage` only if it differs.
  #remember(record) {
    ofAllTabs.write(this.#recordName, record);
  }

  #end(refusal) {
    clearTimeout(this.#pollTimer);
    this.#generation += 1;
    [this.hold, this.order, this.#isFinding] = [null, null, false];
    ofAllTabs.remove(this.#recordName);
    this.#forgetRequest();
    this.refusal = refusal;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const hasExpired = {
  title: "Your hold has expired",
  text: "Its time ran out, and its units went back on sale. Nothing was ordered. You can hold units again.",
};
const wasReleased = { title: "Your hold was given back", text: "Its units went back on sale. Nothing was ordered." };

const isOver = {
  title: "Your hold is over",
  text: "Another tab of yours gave it back, or its time ran out. Nothing was ordered. You can hold units again.",
};

/// The API documents that the order of a hold has the same digits.
export function orderIDOf(holdID) {
  return holdID.replace("hold_", "order_");
}

/// Whether the server has forgotten the hold. It keeps a hold for some time after its end.
function isGone(request, answer) {
  return request.kind === "order" && answer.status === 404;
}

async function withLock(name, action) {
  if (navigator.locks) await navigator.locks.request(name, action);
  else await action();
}
