// The operator's session. The server keeps it in a cookie that scripts cannot read, so the page never keeps a key.

import { call } from "./api.js";

const path = "/api/admin/session";

export class Session {
  static path = path;

  /// `{name, scope, expires_at}`. Null while nobody is signed in.
  current = null;

  /// Whether the scope allows to pause, restock and settle. The server checks each request anyway.
  get mayOperate() {
    return this.current?.scope === "operate" || this.mayAdminister;
  }

  /// Whether the scope allows to change endpoints and their secrets.
  get mayAdminister() {
    return this.current?.scope === "admin";
  }

  async find() {
    return this.#adopt(await call("GET", path));
  }

  async signIn(key) {
    return this.#adopt(await call("POST", path, { body: { key } }));
  }

  async signOut() {
    const answer = await call("DELETE", path);
    if (answer.ok || answer.status === 401) this.current = null;
    return answer;
  }

  #adopt(answer) {
    if (answer.ok) this.current = answer.body;
    return answer;
  }
}
