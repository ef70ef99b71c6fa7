// Server-sent events that go on after errors.
//
// An EventSource gives up for good after a response such as 502, and it cannot tell why. So this stream closes it after
// any error, asks the API for the reason, and makes a new EventSource later. While the tab is hidden there is no
// connection: a browser has only six for each host under HTTP/1.1, and the tabs share them.
//
// The events are `state` if it has changed, `data` with the JSON of the server's event in `detail`, and `answer` with the
// JSON of the answer to the question.

import { call } from "./api.js";

const firstDelayMs = 500;
const longestDelayMs = 15_000;

export class LiveStream extends EventTarget {
  /// "connecting", "live", "hidden", "waiting" or "missing". "waiting" has the time of the next attempt in `retryAt`, and
  /// the answer that explains it, if there is one, in `answer`.
  state = "connecting";
  retryAt = 0;
  answer = null;

  #options;
  #source = null;
  #timer = 0;
  #failures = 0;
  #isListening = false;
  /// Counts the connections, so that an answer of an earlier one is ignored.
  #generation = 0;

  /// - path, event: of the stream, and the name of its events.
  /// - lastEvent: the name of the event that ends the stream for good. Optional.
  /// - question, missingStatus: the path that tells why there is no stream, and the status that ends it for good.
  /// - silenceMs: after so much silence the connection may have died without a sign, so the stream renews it.
  constructor(options) {
    super();
    this.#options = options;
  }

  /// Opens the stream, and closes and opens it as the tab is hidden and shown.
  start() {
    if (!this.#isListening) this.#listen();
    this.#failures = 0;
    this.state = "connecting";
    this.#follow();
  }

  /// Closes the stream until the next start.
  stop() {
    this.#close("missing");
  }

  /// Makes a new connection, which tells the current state at once.
  renew() {
    if (this.state === "live") this.#connect();
  }

  #listen() {
    this.#isListening = true;
    document.addEventListener("visibilitychange", () => this.#follow());
    addEventListener("pagehide", () => this.state !== "missing" && this.#close("hidden"));
    addEventListener("pageshow", (event) => event.persisted && this.#follow());
    addEventListener("online", () => this.state === "waiting" && this.#connect());
  }

  #follow() {
    if (this.state === "missing") return;
    if (document.hidden) this.#close("hidden");
    else if (!this.#source) {
      this.#connect();
      this.#ask();
    }
  }

  /// Asks the question beside a new stream. A stream does not show the header `Date`, and the clock needs it.
  async #ask() {
    const generation = this.#generation;
    const answer = await call("GET", this.#options.question);
    if (generation !== this.#generation) return;
    if (answer.status === this.#options.missingStatus) this.#close("missing");
    // What the stream has told since is newer.
    else if (answer.ok && this.state !== "live") this.#tell("answer", answer.body);
  }

  #connect() {
    this.#close("connecting");
    const source = new EventSource(this.#options.path);
    this.#source = source;
    this.#afterSilence(() => this.#recover());
    source.addEventListener(this.#options.event, (event) => {
      this.#failures = 0;
      if (this.state !== "live") this.#enter("live");
      this.#afterSilence(() => this.#connect());
      this.#tell("data", JSON.parse(event.data));
    });
    if (this.#options.lastEvent) source.addEventListener(this.#options.lastEvent, () => this.#close("missing"));
    source.onerror = () => this.#recover();
  }

  #close(state) {
    clearTimeout(this.#timer);
    this.#generation += 1;
    this.#source?.close();
    this.#source = null;
    this.#enter(state);
  }

  #afterSilence(action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, this.#options.silenceMs * (1 + Math.random() / 2));
  }

  async #recover() {
    const delay = Math.min(firstDelayMs * 2 ** this.#failures, longestDelayMs);
    this.#failures += 1;
    this.answer = null;
    const waitMs = delay * (0.5 + Math.random() / 2);
    this.#wait(waitMs);
    const generation = this.#generation;
    const answer = await call("GET", this.#options.question);
    if (generation !== this.#generation) return;
    if (answer.ok) this.#tell("answer", answer.body);
    this.answer = answer;
    if (answer.status === this.#options.missingStatus) this.#close("missing");
    else if (answer.retryAfter) this.#wait(Math.max(waitMs, answer.retryAfter * 1000 * (1 + Math.random() / 2)));
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

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
