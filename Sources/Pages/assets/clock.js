// The server's clock. A buyer's own clock may be wrong by hours, so no countdown uses it.
//
// `performance.now()` never jumps, but has no date. The offset is the server's time minus `performance.now()`. Each
// response bounds it. `Date` is the server's time, cut to a second, at some moment between sending and receiving:
//
//     Date - received  <=  offset  <  Date + 1 s - sent
//
// A hold bounds it in the same way: `expires_at` minus `expires_in_seconds`, which is cut to a second too, is the
// database's time. A new order has `created_at`, in milliseconds, which is a moment between sending and receiving. The
// clock keeps the bounds that all responses share, and uses their middle. So its error is at most half a second plus half
// of the fastest round trip, and shrinks with each response.

class ServerClock {
  #low = -Infinity;
  #high = Infinity;

  /// Milliseconds since 1970. Until the first response, the time of this device.
  now() {
    return this.#low === -Infinity ? Date.now() : performance.now() + (this.#low + this.#high) / 2;
  }

  /// Milliseconds until an RFC 3339 time. Negative if the time has passed.
  until(time) {
    return Date.parse(time) - this.now();
  }

  /// - date: the header, or null.
  observeDate(date, sent, received) {
    const second = Date.parse(date ?? "");
    if (!Number.isNaN(second)) this.#observe(second, second + 1000, sent, received);
  }

  observeHold(hold, sent, received) {
    if (hold.status !== "active") return;
    const latest = Date.parse(hold.expires_at) - hold.expires_in_seconds * 1000;
    this.#observe(latest - 1000, latest, sent, received);
  }

  /// - order: placed by this request, not by an earlier one under its key.
  observeNewOrder(order, sent, received) {
    const created = Date.parse(order.created_at);
    this.#observe(created, created, sent, received);
  }

  #observe(earliest, latest, sent, received) {
    const low = earliest - received;
    const high = latest - sent;
    this.#low = Math.max(this.#low, low);
    this.#high = Math.min(this.#high, high);
    // No common bounds: a clock was set, this device slept, or another server answers. The newest response is right.
    if (this.#low > this.#high) [this.#low, this.#high] = [low, high];
  }
}

export const clock = new ServerClock();
