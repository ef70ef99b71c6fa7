// The endpoints that get events of the shop, and what an operator can do with them.

import { clock } from "./clock.js";
import { copyButton } from "./copy.js";
import { announce, find, focusOn, make, setBusy, setInvalid, setText, show } from "./dom.js";
import { count, spokenDuration } from "./format.js";

const path = "/api/admin/webhook-endpoints";
/// The server counts no further than this.
const countedMax = 1000;

/// What an operator does with an endpoint. `isAdmin` needs the scope `admin`, `question` is asked first, and a second request of
/// `isOnce` would do harm.
const actions = {
  test: { name: "Test", isShown: isEnabled, done: "A test event is on its way to" },
  disable: {
    name: "Disable",
    isShown: isEnabled,
    isAdmin: true,
    done: "No more events go to",
    question: "What happens from now on is not sent later. Only the events that wait now are sent when you enable it again.",
    keep: "Keep it enabled",
  },
  enable: { name: "Enable", isShown: (endpoint) => !isEnabled(endpoint), isAdmin: true, done: "Events go again to" },
  recover: {
    name: "Recover",
    isShown: () => true,
    done: "Missed events go to",
    question: "Events since then that it missed are sent again. A disabled endpoint is enabled. This cannot be undone.",
    keep: "Send nothing",
  },
  "rotate-secret": {
    name: "New secret",
    isShown: () => true,
    isAdmin: true,
    isOnce: true,
    done: "There is a new secret of",
    question: "The present secret ends after 24 hours. Until then, both sign each event. This cannot be undone.",
    keep: "Keep the secret",
  },
};

export class Endpoints {
  #rows = new Map();
  #changes;
  #session;
  #asked = null;

  constructor(changes, session) {
    this.#changes = changes;
    this.#session = session;
    find("secret-text").after(copyButton(find("secret-text"), "Copy the secret"));
    find("secret-done").addEventListener("click", () => this.#hideSecret());
    find("endpoint-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#create();
    });
    find("endpoint-keep").addEventListener("click", () => find("endpoint-question").close());
    find("endpoint-go").addEventListener("click", () => this.#go());
    find("endpoint-question").addEventListener("close", () => (this.#asked = null));
    changes.addEventListener("done", ({ detail }) => detail.body?.secret && this.#showSecret(detail));
  }

  /// - deliveries: `deliveries` of a tick; null if there is no endpoint.
  render(deliveries) {
    const endpoints = deliveries?.endpoints ?? [];
    const ids = new Set(endpoints.map(({ id }) => id));
    for (const [id, row] of this.#rows) if (!ids.has(id)) this.#remove(id, row);
    for (const endpoint of endpoints) {
      if (!this.#rows.has(endpoint.id)) {
        this.#rows.set(endpoint.id, new Row((name, current) => this.#ask(name, current)));
        find("endpoints").append(this.#rows.get(endpoint.id).element);
      }
      this.#rows.get(endpoint.id).render(endpoint, this.#session, (name) => this.#changes.pending(name, pathOf(name, endpoint)));
    }
    setText(find("deliveries-summary"), summaryOf(deliveries));
    find("deliveries-summary").classList.toggle("warning", deliveries?.oldest_seconds >= 60);
    show(find("endpoint-form"), this.#session.mayAdminister);
    const isAdding = this.#changes.pending("create", path);
    setBusy(find("endpoint-add"), isAdding, isAdding ? "Adding" : "Add");
  }

  /// The address of an endpoint. Its id if the endpoint is gone.
  urlOf(id) {
    return this.#rows.get(id)?.url ?? id;
  }

  clear() {
    find("endpoint-question").close();
    find("endpoint-form").reset();
    this.#refuse(false, false);
    this.#hideSecret();
    // A URL may have a secret in it.
    for (const part of ["secret-url", "endpoint-question-url"]) setText(find(part), "");
    for (const [id, row] of this.#rows) this.#remove(id, row);
  }

  #remove(id, row) {
    const hadFocus = row.element.contains(document.activeElement);
    row.element.remove();
    this.#rows.delete(id);
    if (hadFocus) focusOn(find("deliveries-title"));
  }

  #create() {
    if (this.#changes.pending("create", path)) return;
    const url = find("endpoint-url").value.trim();
    const events = find("endpoint-events").value.split(/[\s,]+/).filter(Boolean);
    this.#refuse(!url, events.length === 0);
    if (!url || events.length === 0) return;
    this.#changes.begin({
      kind: "create", title: `Add ${url}`, doneText: `Events go to ${url}.`, method: "POST", path, body: { url, events },
      isOnce: true,
    });
  }

  /// Says below the fields which of them is empty, if one is.
  #refuse(hasNoURL, hasNoEvents) {
    const fields = [[find("endpoint-url"), hasNoURL], [find("endpoint-events"), hasNoEvents]];
    for (const [field, isEmpty] of fields) setInvalid(field, isEmpty);
    const empty = fields.find(([, isEmpty]) => isEmpty)?.[0];
    show(find("endpoint-error"), empty);
    if (!empty) return;
    // A field that has the focus already is not read again.
    announce(find("endpoint-error").textContent);
    empty.focus();
  }

  #ask(name, endpoint) {
    if (this.#changes.pending(name, pathOf(name, endpoint))) return;
    const { question, keep } = actions[name];
    this.#asked = { name, endpoint };
    if (!question) return this.#go();
    setText(find("endpoint-question-title"), `${actions[name].name}?`);
    setText(find("endpoint-question-url"), endpoint.url);
    setText(find("endpoint-question-text"), question);
    setText(find("endpoint-keep"), keep);
    setText(find("endpoint-go"), actions[name].name);
    show(find("since-field"), name === "recover");
    find("endpoint-question").showModal();
  }

  #go() {
    const { name, endpoint } = this.#asked ?? {};
    const hours = Number(find("since").value);
    this.#asked = null;
    find("endpoint-question").close();
    if (!name) return;
    const statuses = { disable: "disabled", enable: "enabled" };
    const status = statuses[name];
    this.#changes.begin({
      kind: name,
      title: `${actions[name].name}: ${endpoint.url}`,
      doneText: `${actions[name].done} ${endpoint.url}.`,
      method: status ? "PATCH" : "POST",
      path: pathOf(name, endpoint),
      body: status ? { status } : name === "recover" ? { since: new Date(clock.now() - hours * 3_600_000).toISOString() } : undefined,
      isOnce: actions[name].isOnce,
    });
  }

  #showSecret({ change, body: { url, secret } }) {
    if (change.kind === "create") find("endpoint-form").reset();
    setText(find("secret-url"), url);
    setText(find("secret-text"), secret);
    show(find("secret"), true);
    focusOn(find("secret-title"));
  }

  #hideSecret() {
    const hadFocus = find("secret").contains(document.activeElement);
    setText(find("secret-text"), "");
    show(find("secret"), false);
    if (hadFocus) focusOn(find("deliveries-title"));
  }
}

class Row {
  element = make("li");
  #endpoint;
  #url = make("strong");
  #status = make("span", { className: "status" });
  #facts = make("span", { className: "hint" });
  #error = make("span", { className: "hint warning" });
  #buttons = new Map();

  get url() {
    return this.#endpoint.url;
  }

  /// - ask: called with the name of an action and the endpoint.
  constructor(ask) {
    const buttons = make("p", { className: "actions" });
    for (const name of Object.keys(actions)) {
      const button = make("button");
      button.addEventListener("click", () => ask(name, this.#endpoint));
      this.#buttons.set(name, button);
      buttons.append(button);
    }
    this.element.append(make("span", { className: "event" }, this.#url, " ", this.#status, this.#facts, this.#error), buttons);
  }

  render(endpoint, session, pending) {
    this.#endpoint = endpoint;
    setText(this.#url, endpoint.url);
    setText(this.#status, isEnabled(endpoint) ? "Enabled" : "Disabled");
    this.#status.classList.toggle("warning", !isEnabled(endpoint));
    const failures = endpoint.failures === 0 ? "no failure" : `${count(endpoint.failures)} failed in a row`;
    setText(this.#facts, `${counted(endpoint.pending)} pending, ${failures}`);
    setText(this.#error, endpoint.last_error ? `Last error: ${endpoint.last_error}` : "");
    const focused = document.activeElement;
    for (const [name, button] of this.#buttons) {
      const { name: words, isAdmin, isShown } = actions[name];
      show(button, isShown(endpoint) && (isAdmin ? session.mayAdminister : session.mayOperate));
      setBusy(button, pending(name), words);
      button.ariaLabel = `${words}: ${endpoint.url}`;
    }
    // A button may go because of its own click: Disable becomes Enable.
    if (focused.hidden && this.element.contains(focused)) this.element.querySelector("button:not([hidden])").focus();
  }
}

function isEnabled(endpoint) {
  return endpoint.status === "enabled";
}

/// Enabling and disabling change the endpoint itself.
function pathOf(name, { id }) {
  return ["disable", "enable"].includes(name) ? `${path}/${id}` : `${path}/${id}/${name}`;
}

function counted(number) {
  return number >= countedMax ? `${count(countedMax)} or more` : count(number);
}

function summaryOf(deliveries) {
  if (!deliveries) return "No address gets events yet.";
  if (deliveries.pending === 0) return "No event waits.";
  const age = spokenDuration(deliveries.oldest_seconds * 1000);
  return `${counted(deliveries.pending)} pending. The oldest waits for ${age}.`;
}
