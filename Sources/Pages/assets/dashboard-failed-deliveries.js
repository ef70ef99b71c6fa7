// Events that could not be delivered, and that nobody sends again by itself.

import { clock } from "./clock.js";
import { Poll } from "./dashboard-poll.js";
import { find, focusOn, make, setBusy, setText, show } from "./dom.js";
import { shortTime } from "./format.js";

const shownCount = 20;

export class FailedDeliveries {
  #poll = new Poll("/api/admin/deliveries?status=failed", find("failed-error"), (body) => this.#adopt(body.deliveries));
  #rows = new Map();
  #changes;
  #session;
  /// The address of an endpoint.
  #urlOf;

  constructor(changes, session, urlOf) {
    this.#urlOf = urlOf;
    this.#changes = changes;
    this.#session = session;
    changes.addEventListener("change", () => this.#render());
  }

  refresh() {
    this.#poll.refresh();
  }

  stop() {
    this.#poll.stop();
  }

  clear() {
    this.stop();
    this.#adopt([]);
  }

  #adopt(deliveries) {
    const shown = new Map(deliveries.slice(0, shownCount).map((delivery) => [keyOf(delivery), delivery]));
    for (const [key, row] of this.#rows) {
      if (shown.has(key)) continue;
      const hadFocus = row.element.contains(document.activeElement);
      row.element.remove();
      this.#rows.delete(key);
      if (hadFocus) focusOn(find("failed-title"));
    }
    // Newest first, as the server sends them.
    [...shown].forEach(([key, delivery], index) => {
      if (!this.#rows.has(key)) this.#rows.set(key, new Row(delivery, this.#urlOf(delivery.endpoint_id), () => this.#redeliver(delivery)));
      const { element } = this.#rows.get(key);
      const place = find("failed").children[index] ?? null;
      // A row that is moved loses the focus, so it stays if it is in its place.
      if (place !== element) find("failed").insertBefore(element, place);
    });
    this.#render();
  }

  #render() {
    for (const row of this.#rows.values()) {
      row.render(this.#session.mayOperate, this.#changes.pending("redeliver", pathOf(row.delivery)));
    }
    show(find("no-failed"), this.#rows.size === 0);
  }

  #redeliver(delivery) {
    if (this.#changes.pending("redeliver", pathOf(delivery))) return;
    this.#changes.begin({
      kind: "redeliver",
      title: `Redeliver ${delivery.type}`,
      doneText: `${delivery.type} goes again to its endpoints.`,
      method: "POST",
      path: pathOf(delivery),
    });
  }
}

class Row {
  element = make("li");
  delivery;
  #url;
  #button = make("button");

  constructor(delivery, url, redeliver) {
    this.delivery = delivery;
    this.#url = url;
    const time = make("time", { dateTime: delivery.created_at, textContent: shortTime(delivery.created_at, clock.now()) });
    const facts = make("span", { className: "hint" }, time, " · ", make("bdi", {}, url));
    const error = make("span", { className: "hint" }, delivery.error ?? `Status ${delivery.status_code}`);
    this.element.append(make("span", { className: "event" }, make("strong", {}, delivery.type), facts, error), this.#button);
    this.#button.addEventListener("click", redeliver);
  }

  render(mayOperate, isPending) {
    show(this.#button, mayOperate);
    setBusy(this.#button, isPending, isPending ? "Sending" : "Redeliver");
    this.#button.ariaLabel = `${this.#button.textContent} ${this.delivery.type} to ${this.#url}`;
  }
}

const keyOf = (delivery) => JSON.stringify([delivery.event_id, delivery.endpoint_id]);
const pathOf = (delivery) => `/api/admin/events/${delivery.event_id}/redeliver`;
