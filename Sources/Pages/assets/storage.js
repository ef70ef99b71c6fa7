// What a browser remembers, as JSON. Without storage (a setting of the browser), it lasts as long as the page.
//
//   sessionStorage  flashsale.request.<product>   the request without an answer, with its key: of this tab alone
//   localStorage    flashsale.purchase.<product>  the ids of the hold and the order: of all tabs
//   localStorage    flashsale.buyer               the buyer's id, for products with a limit for each customer

class Store {
  #storage;
  #memory = new Map();

  constructor(name) {
    try {
      this.#storage = window[name];
    } catch {
      this.#storage = null;
    }
  }

  read(name) {
    try {
      return JSON.parse(this.#storage.getItem(name)) ?? this.#memory.get(name) ?? null;
    } catch {
      return this.#memory.get(name) ?? null;
    }
  }

  write(name, value) {
    try {
      this.#storage.setItem(name, JSON.stringify(value));
    } catch {
      this.#memory.set(name, value);
    }
  }

  remove(name) {
    this.#memory.delete(name);
    try {
      this.#storage.removeItem(name);
    } catch {
      // There is nothing to remove.
    }
  }
}

export const ofThisTab = new Store("sessionStorage");
export const ofAllTabs = new Store("localStorage");

/// 128 random bits, as 32 hexadecimal digits. `crypto.randomUUID` needs a secure context; this does not.
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function buyerID() {
  const known = ofAllTabs.read("flashsale.buyer");
  if (typeof known === "string") return known;
  const id = `buyer_${randomKey()}`;
  ofAllTabs.write("flashsale.buyer", id);
  return id;
}
