// Charts as SVG. They only scale the numbers of the server.

import { make, makeSVG, setAttributes, setText } from "./dom.js";

/// A chart shows this time. One unit of the SVG is one second.
const seconds = 300;
const height = 60;
/// Values come once a second. A longer gap was a time without a connection, so the line has a gap there, too.
const longestGapMs = 3500;

/// Keeps the samples that charts show.
export class History {
  /// Oldest first. A sample has its `time` in milliseconds.
  samples = [];

  add(sample) {
    // Another server may answer after a reconnection, and its clock may be behind.
    this.samples = this.samples.filter(({ time }) => time < sample.time && time >= sample.time - seconds * 1000);
    this.samples.push(sample);
  }

  clear() {
    this.samples = [];
  }
}

/// One or two lines over the last five minutes.
export class LineChart {
  element;
  #title;
  #lines;
  #format;
  #figures;
  #top = make("span");
  #paths;
  #svg;

  /// - lines: the names of the lines. A single line needs none.
  /// - format: makes the text of a value.
  constructor(title, lines, format) {
    this.#title = title;
    this.#lines = lines;
    this.#format = format;
    this.#figures = lines.map(() => make("strong"));
    this.#paths = lines.map((_, index) => makeSVG("path", { class: `line line-${index}` }));
    this.#svg = makeSVG(
      "svg", { viewBox: `0 -2 ${seconds} ${height + 4}`, preserveAspectRatio: "none", role: "img" },
      makeSVG("path", { class: "grid", d: `M0 0H${seconds}M0 ${height / 2}H${seconds}` }),
      makeSVG("path", { class: "ground", d: `M0 ${height}H${seconds}` }), ...this.#paths);
    const figures = lines.map((name, index) => {
      const text = make("span", { className: `figure figure-${index}` }, this.#figures[index]);
      if (name) text.prepend(`${name} `);
      return text;
    });
    const caption = make("figcaption", {}, make("span", {}, title), make("span", { className: "figures" }, ...figures));
    const axis = make("p", { className: "axis", ariaHidden: "true" }, make("span", {}, "5 min ago"), this.#top, make("span", {}, "now"));
    this.element = make("figure", { className: "chart" }, caption, this.#svg, axis);
  }

  /// - samples: `{time, values}` with one value for each line, or null where there is none.
  /// - now: the right end, in milliseconds.
  draw(samples, now) {
    const greatest = Math.max(0, ...samples.flatMap(({ values }) => values));
    const top = roundedUp(greatest);
    const latest = samples.at(-1)?.values ?? [];
    const texts = this.#lines.map((_, index) => (latest[index] == null ? "–" : this.#format(latest[index])));
    for (const [index, path] of this.#paths.entries()) {
      setText(this.#figures[index], texts[index]);
      setAttributes(path, { d: pathOf(samples, index, now, top) });
    }
    setText(this.#top, `top line: ${this.#format(top)}`);
    const label = `${this.#title}, the last five minutes, at most ${this.#format(greatest)}.`;
    setAttributes(this.#svg, { "aria-label": label });
  }
}

function pathOf(samples, index, now, top) {
  let path = "";
  let previous = -Infinity;
  for (const { time, values } of samples) {
    const value = values[index];
    if (value == null) continue;
    const x = (seconds - (now - time) / 1000).toFixed(1);
    const y = (height * (1 - value / top)).toFixed(1);
    // A line without length shows a point, by its round end.
    path += time - previous > longestGapMs ? `M${x} ${y}h0` : `L${x} ${y}`;
    previous = time;
  }
  return path;
}

/// The least of 1, 2, 5, 10, 20, 50 and so on that is not below the value.
function roundedUp(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= value);
}

/// The parts of a product's stock, in the order of the bar, with their names in the API.
export const stockParts = [
  ["available", "available_stock"],
  ["held", "held_stock"],
  ["unpaid", "unpaid_stock"],
  ["paid", "paid_stock"],
];

/// The stock of a product as one bar. The numbers stand beside it, so a screen reader skips it.
export class StockBar {
  /// Solid parts are for sale or sold. Hatched parts may come back.
  #parts = stockParts.map(([part]) => makeSVG("rect", { class: part, height: "100%", fill: `url(#hatch-${part})` }));
  element = makeSVG("svg", { class: "stock-bar", "aria-hidden": "true" }, ...this.#parts);

  render(product) {
    let x = 0;
    for (const [index, [, member]] of stockParts.entries()) {
      const width = (100 * product[member]) / Math.max(1, product.total_stock);
      setAttributes(this.#parts[index], { x: `${x}%`, width: `${width}%` });
      x += width;
    }
  }
}
