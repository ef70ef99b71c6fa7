// The status of a product in words, for both pages.

import { clock } from "./clock.js";
import { count, duration } from "./format.js";

const labels = {
  upcoming: "Starts soon",
  on_sale: "On sale",
  paused: "Paused",
  line: "On sale, with a line",
  reserved_out: "All reserved",
  sold_out: "Sold out",
  ended: "Ended",
};

export function statusLabel(product) {
  return labels[product.status] ?? product.status;
}

/// "57 of 100 left", in parts: the number, and what it is a part of.
export function stockWords(product) {
  return [count(product.available_stock), `of ${count(product.total_stock)} left`];
}

/// "Starts in 4:12" of an upcoming product, else null.
export function startWords(product) {
  if (product.status !== "upcoming" || !product.starts_at) return null;
  const rest = clock.until(product.starts_at);
  return rest > 0 ? `Starts in ${duration(rest)}` : "Starts now";
}
