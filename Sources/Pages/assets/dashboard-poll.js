// A part of the API that the page reads now, after each change, and every ten seconds while it is live.

import { call } from "./api.js";
import { setText, show } from "./dom.js";
import { outageOf } from "./refusals.js";

const pollMs = 10_000;

export class Poll {
  #path;
  #error;
  #render;
  #timer = 0;
  #generation = 0;

  /// - error: the element that shows why the last read failed.
  /// - render: called with the body of each answer.
  constructor(path, error, render) {
    this.#path = path;
    this.#error = error;
    this.#render = render;
  }

  async refresh() {
    clearTimeout(this.#timer);
    const generation = ++this.#generation;
    const answer = await call("GET", this.#path);
    if (generation !== this.#generation) return;
    if (answer.ok) this.#render(answer.body);
    show(this.#error, !answer.ok);
    setText(this.#error, answer.ok ? "" : answer.body?.detail ?? outageOf(answer));
    this.#timer = setTimeout(() => this.refresh(), pollMs * (0.75 + Math.random() / 2));
  }

  stop() {
    clearTimeout(this.#timer);
    this.#generation += 1;
  }
}
