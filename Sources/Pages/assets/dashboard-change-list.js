// The changes without an answer yet, and the answers of the latest ones, at the bottom of the page.

import { announce, find, make, setText, show } from "./dom.js";
import { duration } from "./format.js";

/// The audit log shows a change that is done, so its note may go.
const doneMs = 8000;
/// Most answers come at once. A change that takes longer is shown.
const quietMs = 400;

export class ChangeList {
  #changes;
  #notes = new Map();

  constructor(changes) {
    this.#changes = changes;
    changes.addEventListener("change", () => this.#render());
  }

  /// Shows the countdowns.
  tick() {
    for (const note of this.#notes.values()) note.tick();
  }

  #render() {
    for (const change of this.#changes.list) {
      if (!this.#notes.has(change)) {
        this.#notes.set(change, new Note(change, this.#changes));
        find("changes").append(this.#notes.get(change).element);
      }
      this.#notes.get(change).render();
    }
    for (const [change, note] of this.#notes) {
      if (this.#changes.list.includes(change)) continue;
      note.element.remove();
      this.#notes.delete(change);
    }
    show(find("changes"), this.#notes.size > 0);
  }
}

class Note {
  #change;
  #changes;
  #text = make("span");
  #countdown = make("span", { className: "countdown-text" });
  #again = make("button", { type: "button" });
  #end = make("button", { type: "button" });
  #title;
  element;
  #told = "";
  #beganAt = performance.now();

  constructor(change, changes) {
    this.#change = change;
    this.#changes = changes;
    this.#title = make("strong", { dir: "auto", textContent: change.title });
    const words = make("p", {}, this.#title, " ", this.#text, " ", this.#countdown);
    this.element = make("li", {}, words, make("p", { className: "actions" }, this.#again, this.#end));
    this.#again.addEventListener("click", () => changes.askNow(change));
    this.#end.addEventListener("click", () => (this.#isOpen ? changes.stop(change) : changes.forget(change)));
  }

  get #isOpen() {
    return ["asking", "waiting"].includes(this.#change.state);
  }

  render() {
    const { state, text, title } = this.#change;
    this.element.dataset.state = state;
    setText(this.#text, state === "asking" && !text ? "One moment." : text);
    setText(this.#again, state === "stopped" ? "Ask again" : "Try now");
    show(this.#again, state === "stopped" || state === "waiting");
    setText(this.#end, this.#isOpen ? "Stop" : state === "stopped" ? "Forget" : "Close");
    this.tick();
    if (state === this.#told || state === "asking") return;
    this.#told = state;
    announce(state === "done" ? text : `${title}. ${text}`);
    if (state === "done") setTimeout(() => this.#changes.forget(this.#change), doneMs);
  }

  tick() {
    const { state, retryAt } = this.#change;
    const rest = retryAt - performance.now();
    setText(this.#countdown, state === "waiting" && rest > 0 ? `Trying again in ${duration(rest)}.` : "");
    show(this.element, state !== "asking" || this.#told || performance.now() - this.#beganAt > quietMs);
  }
}
