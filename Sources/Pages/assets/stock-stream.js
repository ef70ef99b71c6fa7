// A product, live, by server-sent events.
//
// An EventSource gives up for good after a response such as 502, and it cannot tell why. So this stream closes it after
// any error, asks the API for the product, and makes a new EventSource later. While the tab is hidden there is no
// connection: a browser has only six for each host under HTTP/1.1, and the tabs share them.

import { call } from "./api.js";

const firstDelayMs = 500;
const longestDelayMs = 15_000;
/// A connection may die without a sign, and a page does not see heartbeats. So the stream renews a silent one.
const silenceMs = 60_000;

export class StockStream extends EventTarget {
  /// "connecting", "live", "hidden", "waiting" or "missing". "waiting" has the time of the next attempt in `retryAt`, and
  /// the answer that explains it, if there is one, in `answer`.
  state = "connecting";
  retryAt = 0;
  answer = null;

  #path;
  #source = null;
  #timer = 0;
  #failures = 0;
  /// Counts the connections, so that an answer of an earlier one is ignored.
  #generation = 0;

  constructor(productID) {
    super();
    this.#path = `/api/products/${productID}`;
  }

  /// Opens the stream, and closes and opens it as the tab is hidden and shown.
  start() {
    document.addEventListener("visibilitychange", () => this.#follow());
    addEventListener("pagehide", () => this.#close("hidden"));
    addEventListener("pageshow", (event) => event.persisted && this.#follow());
    addEventListener("online", () => this.state === "waiting" && this.#connect());
    this.#follow();
  }

  /// Makes a new connection, which tells the current product at once.
  renew() {
    if (this.state === "live") this.#connect();
  }

  #follow() {
    if (this.state === "missing") return;
    if (document.hidden) this.#close("hidden");
    else if (!this.#source) {
      this.#connect();
      this.#ask();
    }
  }

  /// Asks for the product beside a new stream. A stream does not show the header `Date`, and the clock needs it.
  async #ask() {
    const generation = this.#generation;
    const answer = await call("GET", this.#path);
    if (generation !== this.#generation) return;
    if (answer.status === 404) this.#close("missing");
    // What the stream has told since is newer.
    else if (answer.ok && this.state !== "live") this.#tell(answer.body);
  }

  #connect() {
    this.#close("connecting");
    const source = new EventSource(`${this.#path}/events`);
    this.#source = source;
    source.addEventListener("stock", (event) => {
      this.#failures = 0;
      this.#enter("live");
      this.#renewAfterSilence();
      this.#tell(JSON.parse(event.data));
    });
    source.onerror = () => this.#recover();
  }

  #close(state) {
    clearTimeout(this.#timer);
    this.#generation += 1;
    this.#source?.close();
    this.#source = null;
    this.#enter(state);
  }

  #renewAfterSilence() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), silenceMs * (1 + Math.random() / 2));
  }

  async #recover() {
    const delay = Math.min(firstDelayMs * 2 ** this.#failures, longestDelayMs);
    this.#failures += 1;
    this.answer = null;
    this.#wait(delay * (0.5 + Math.random()));
    const generation = this.#generation;
    const answer = await call("GET", this.#path);
    if (generation !== this.#generation) return;
    if (answer.ok) this.#tell(answer.body);
    this.answer = answer;
    if (answer.status === 404) this.#close("missing");
    else if (answer.retryAfter) this.#wait(Math.max(delay, answer.retryAfter * 1000) * (1 + Math.random() / 2));
    else this.#enter("waiting");
  }

  #wait(milliseconds) {
    this.#close("connecting");
    this.retryAt = performance.now() + milliseconds;
    this.#timer = setTimeout(() => this.#connect(), milliseconds);
    this.#enter("waiting");
  }

  #enter(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #tell(product) {
    this.dispatchEvent(new CustomEvent("product", { detail: product }));
  }
}
