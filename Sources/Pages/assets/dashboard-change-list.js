// The changes without an answer yet, and the answers of the latest ones, at the bottom of the page.

import { announce, find, make, setText, show } from "./dom.js";

/// The audit log shows a change that is done, so its note may go.
const doneMs = 8000;

export class ChangeList {
  #changes;
  #notes = new Map();

  constructor(changes) {
    this.#changes = changes;
    changes.addEventListener("change", () => this.#render());
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
  #again = make("button");
  #end = make("button");
  #title;
  element;
  #told = "";

  constructor(change, changes) {
    this.#change = change;
    this.#changes = changes;
    this.#title = make("strong", { dir: "auto", textContent: change.title });
    const words = make("p", {}, this.#title, " ", this.#text);
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
    if (state === this.#told || state === "asking") return;
    this.#told = state;
    announce(state === "done" ? text : `${title}. ${text}`);
    if (state === "done") setTimeout(() => this.#changes.forget(this.#change), doneMs);
  }
}
