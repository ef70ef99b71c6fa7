// The changes that the operator makes, from the click to a certain answer.
//
// If no answer comes, or one that leaves the outcome open, the page sends the same request again. A restock or a refund has
// an `Idempotency-Key`, so it has one effect, however often the request arrives. Its key is in sessionStorage until the
// answer is known, and a reload goes on. Pausing, resuming and settling need no key: a repetition changes
// nothing.

import { call, mayBeRepeated, secondsToWait } from "./api.js";
import { money } from "./format.js";
import { outageOf } from "./refusals.js";
import { ofThisTab, randomKey } from "./storage.js";

const storageName = "flashsale.changes";
/// A reload does not repeat an older request by itself. The operator decides.
const oldestRequestMs = 10 * 60_000;
/// The server has done nothing when it refuses for these reasons.
const harmless = ["overloaded", "database-unavailable", "too-many-requests", "shutting-down"];

/// A change has:
///   kind              "pause", "resume", "restock", "settle" or "refund"
///   title, doneText   what it does, and that it is done, in words
///   method, path, body, key
///   currency          of a refund
///   state             "asking", "waiting", "stopped", "done" or "refused"
///   isUncertain       whether an earlier attempt may have had its effect
///   text              why it waits or was refused, in words
///
/// A change with `isOnce` makes a secret. The page does not repeat it by itself: another secret would follow one that nobody has
/// seen.
export class Changes extends EventTarget {
  list = [];

  /// Goes on with the requests of this tab that had no certain answer before a reload.
  resume() {
    if (this.list.length > 0) return;
    this.list = ofThisTab.read(storageName) ?? [];
    for (const change of this.list) {
      const age = Date.now() - change.sentAt;
      if (change.state !== "stopped" && age >= 0 && age < oldestRequestMs) this.#ask(change);
      else this.#stop(change);
    }
  }

  begin(change) {
    // The same click after a stop has the same key, so it finds what the first one did.
    const text = JSON.stringify([change.path, change.body]);
    const earlier = this.list.find(({ state, path, body }) => state === "stopped" && JSON.stringify([path, body]) === text);
    if (earlier) return this.#ask(earlier);
    if (["restock", "refund"].includes(change.kind)) change.key = randomKey();
    this.list.push(Object.assign(change, { sentAt: Date.now(), isUncertain: false }));
    this.#ask(change);
  }

  /// The change of this kind that has no answer yet.
  pending(kind, path) {
    const isPending = ({ state }) => state === "asking" || state === "waiting";
    return this.list.find((change) => change.kind === kind && change.path === path && isPending(change));
  }

  askNow(change) {
    if (change.state === "stopped") this.#ask(change);
    else if (change.state === "waiting") change.wake();
  }

  stop(change) {
    // The request on its way may have its effect.
    if (change.state === "asking") change.isUncertain = true;
    this.#stop(change);
    change.wake?.();
  }

  forget(change) {
    this.list = this.list.filter((other) => other !== change);
    this.#changed();
  }

  /// Forgets all, so that the next operator of this browser finds nothing.
  clear() {
    for (const change of this.list) this.stop(change);
    this.list = [];
    this.#changed();
  }

  async #ask(change) {
    const run = (change.run = {});
    this.#enter(change, "asking", "");
    for (let number = 1; ; number += 1) {
      const answer = await call(change.method, change.path, change);
      // The operator has signed out. The answer may have a secret, which the next operator must not see.
      if (!this.list.includes(change)) return;
      // The operator may have stopped in the meantime. An answer still counts.
      if (answer.ok && answer.body?.complete === false) {
        // A recovery goes on when the request is repeated.
        if (change.run !== run || change.state === "stopped") return;
        this.#enter(change, "asking", `${answer.body.pending} events wait for the endpoint so far. The recovery goes on.`);
        number = 0;
        continue;
      }
      if (!mayBeRepeated(answer)) return this.#settle(change, answer);
      if (!harmless.includes(answer.problem)) change.isUncertain = true;
      if (change.run !== run || change.state === "stopped") return;
      if (change.isOnce && change.isUncertain) return this.#stop(change);
      const delay = secondsToWait(answer, number) * 1000;
      const effect = change.isUncertain ? "The page does not know yet whether the change was made, and asks again." : "Nothing was changed yet. The page tries again.";
      this.#enter(change, "waiting", `${outageOf(answer)} ${effect}`);
      await new Promise((resolve) => {
        change.wake = resolve;
        setTimeout(resolve, delay);
      });
      if (change.run !== run || change.state === "stopped") return;
      this.#enter(change, "asking", change.text);
    }
  }

  #settle(change, answer) {
    if (answer.ok) {
      this.#enter(change, "done", change.doneText);
      this.dispatchEvent(new CustomEvent("done", { detail: { change, body: answer.body } }));
    } else if (answer.status === 401) {
      // An earlier attempt may have had its effect. Whoever signs in next decides whether to ask again.
      if (change.isUncertain) this.#stop(change);
      else this.forget(change);
      this.dispatchEvent(new Event("signed-out"));
    } else {
      const errors = (answer.body?.errors ?? []).map((error) => error.detail).join(" ");
      const { title = `The server refused the request (status ${answer.status})`, refundable_amount: left } = answer.body ?? {};
      const detail = left === undefined ? answer.body?.detail : `Only ${money(left, change.currency)} is left to refund.`;
      this.#enter(change, "refused", [`${title}.`, errors || detail].filter(Boolean).join(" "));
    }
  }

  #stop(change) {
    const again = change.key
      ? "Ask again to find out: it has one effect."
      : change.isOnce ? "Look at what is there before you ask again." : "Ask again to make sure.";
    this.#enter(change, "stopped", change.isUncertain ? `No answer came. The change may have been made. ${again}` : "Nothing was changed.");
  }

  #enter(change, state, text) {
    Object.assign(change, { state, text });
    this.#changed();
  }

  #changed() {
    ofThisTab.write(storageName, this.list.filter(({ key, state }) => key && !["done", "refused"].includes(state)));
    this.dispatchEvent(new Event("change"));
  }
}
