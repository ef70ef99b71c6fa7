// The server that sends the ticks: its load, its latency and its refusals. Other servers have figures of their own.

import { LineChart } from "./chart.js";
import { clock } from "./clock.js";
import { find, make, setText, show } from "./dom.js";
import { count, decimal, milliseconds, shortTime } from "./format.js";

/// A refusal that no longer happens stays in the list for the time that the charts show.
const keptMs = 300_000;

export class ServerPanel {
  #chart = new LineChart("Latency", ["p50", "p99"], milliseconds);
  #rows = new Map();
  #name = "";

  constructor() {
    find("latency-chart").append(this.#chart.element);
  }

  /// - samples: `[p50, p99]` over time.
  render({ server, database }, samples, now) {
    if (this.#name !== server.name) this.clear();
    this.#name = server.name;
    setText(find("server-name"), server.name);
    setText(find("server-about"), `Version ${server.version}, started ${shortTime(server.started_at, clock.now())}.`);
    setText(find("server-requests"), decimal(server.requests_per_second));
    setText(find("server-in-flight"), count(server.in_flight));
    setText(find("server-streams"), count(server.open_streams));
    const since = shortTime(database.since, clock.now());
    setText(find("server-database"), `${database.reachable ? "Reachable" : "Away"} since ${since}`);
    find("server-database").classList.toggle("warning", !database.reachable);
    this.#chart.draw(samples, now);
    this.#renderRefusals(server.refusals_per_second, now);
  }

  clear() {
    for (const row of this.#rows.values()) row.element.remove();
    this.#rows.clear();
  }

  #renderRefusals(refusals, now) {
    for (const [reason, perSecond] of Object.entries(refusals)) {
      if (perSecond > 0 && !this.#rows.has(reason)) this.#insert(reason);
      const row = this.#rows.get(reason);
      if (!row) continue;
      if (perSecond > 0) row.seenAt = now;
      setText(row.figure, decimal(perSecond));
    }
    for (const [reason, row] of this.#rows) {
      if (!(reason in refusals)) setText(row.figure, "0");
      if (now - row.seenAt < keptMs) continue;
      row.element.remove();
      this.#rows.delete(reason);
    }
    show(find("no-refusals"), this.#rows.size === 0);
  }

  /// In alphabetical order, so that no line moves with the rates.
  #insert(reason) {
    const words = reason.replaceAll("-", " ");
    const figure = make("dd");
    const element = make("div", {}, make("dt", {}, words.charAt(0).toUpperCase() + words.slice(1)), figure);
    const next = [...this.#rows.keys()].filter((other) => other > reason).sort()[0];
    find("refusals").insertBefore(element, this.#rows.get(next)?.element ?? null);
    this.#rows.set(reason, { element, figure, seenAt: 0 });
  }
}
