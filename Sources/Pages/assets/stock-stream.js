// A product, live. The event `product` has the product in `detail`.

import { LiveStream } from "./live-stream.js";

/// A page does not see heartbeats, and the stock may rest for long.
const silenceMs = 60_000;

export class StockStream extends LiveStream {
  constructor(productID) {
    const path = `/api/products/${productID}`;
    super({ path: `${path}/events`, event: "stock", question: path, missingStatus: 404, silenceMs });
    for (const type of ["data", "answer"]) {
      this.addEventListener(type, ({ detail }) => this.dispatchEvent(new CustomEvent("product", { detail })));
    }
  }
}
