// The server that sends the ticks: its load, its latency and its refusals. Other servers have figures of their own.

import { LineChart } from "./chart.js";
import { clock } from "./clock.js";
import { find, make, setText, show } from "./dom.js";
import { count, decimal, milliseconds, shortTime } from "./format.js";

export class ServerPanel {
  #chart = new LineChart("Latency", ["p50", "p99"], milliseconds);
  #figures = new Map();
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
    this.#renderRefusals(server.refusals_per_second);
  }

  clear() {
    this.#figures.clear();
    find("refusals").replaceChildren();
  }

  /// A reason stays after its first refusal, so that the list does not flicker.
  #renderRefusals(refusals) {
    for (const reason of Object.keys(refusals)) if (!this.#figures.has(reason)) this.#insert(reason);
    for (const [reason, figure] of this.#figures) setText(figure, decimal(refusals[reason] ?? 0));
    show(find("no-refusals"), this.#figures.size === 0);
  }

  /// - reason: such as "insufficient-stock".
  #insert(reason) {
    const words = reason.replaceAll("-", " ");
    const figure = make("dd");
    this.#figures.set(reason, figure);
    find("refusals").append(make("div", {}, make("dt", {}, words.charAt(0).toUpperCase() + words.slice(1)), figure));
  }
}
