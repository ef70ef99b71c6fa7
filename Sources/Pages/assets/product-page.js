// The page of one product. It shows what the stream, the purchase and the clock say, and passes the buyer's clicks on.

import { clock } from "./clock.js";
import { announce, find, focusOn, make, setBusy, setText, show } from "./dom.js";
import { count, dateTime, duration, money, spokenDuration, units } from "./format.js";
import { startWords, statusLabel, stockWords } from "./product-status.js";
import { Purchase } from "./purchase.js";
import { outageOf } from "./refusals.js";
import { checkoutURL, playsProvider } from "./settings.js";
import { StockStream } from "./stock-stream.js";

const tickMs = 250;
/// A screen reader tells the time left of a countdown when it falls below these.
const toldSeconds = [60, 30, 10];

const productID = Number(location.pathname.match(/^\/p\/([1-9]\d*)$/)?.[1]);
const stream = new StockStream(productID);
const purchase = new Purchase(productID);
let product = null;
let shownStage = "loading";
let provider = null;

// MARK: The stage

/// The name of the part of the ticket that the page shows.
function stage() {
  if (!product) return stream.state === "missing" ? "missing" : "loading";
  switch (purchase.stage) {
    case "asking":
    case "ordering":
      // Most answers come at once. So the form stays until the page has to wait.
      return !purchase.attempt && ["choosing", "held"].includes(shownStage) ? shownStage : "asking";
    case "choosing":
      return ["upcoming", "paused", "sold_out", "ended"].includes(product.status) ? "closed" : "choosing";
    case "cancelled":
    case "expired":
    case "refunded":
      return "over";
    default:
      return purchase.stage;
  }
}

function render() {
  const hadFocus = find("buy").contains(document.activeElement);
  const next = stage();
  if (product) renderProduct();
  renderStage[next]?.();
  for (const part of document.querySelectorAll("[data-stage]")) show(part, part.dataset.stage === next);
  renderSteps(next);
  renderReceipt();
  renderRefusal(next);
  tick();
  provider?.render();
  if (next !== shownStage) enter(next, hadFocus);
}

function enter(next, hadFocus) {
  const wasLoading = ["loading", "finding"].includes(shownStage);
  shownStage = next;
  const heading = document.querySelector(`[data-stage="${next}"] h2`);
  // The isolates (U+2068, U+2069) keep a right-to-left name from turning the words around it.
  const name = product && `\u2068${product.name}\u2069`;
  document.title = [textOf(heading), name, "FlashSale"].filter(Boolean).join(" · ");
  if (hadFocus) focusOn(find("refusal").hidden ? heading : find("refusal"));
  else if (!wasLoading) announce(textOf(heading));
}

const textOf = (heading) => heading.textContent.trim();

// MARK: The product

function renderProduct() {
  setText(find("status"), statusLabel(product));
  find("status").dataset.status = product.status;
  setText(find("name"), product.name);
  find("name").classList.toggle("long", product.name.length > 60);
  setText(find("price"), money(product.price, product.currency));
  const [available, ofTotal] = stockWords(product);
  setText(find("available"), available);
  setText(find("of-total"), ofTotal);
  Object.assign(find("stock-bar"), { max: Math.max(1, product.total_stock), value: product.available_stock });
  show(find("stock"), true);
  renderFacts([
    ["Starts", product.starts_at && dateTime(product.starts_at)],
    ["Ends", product.ends_at && dateTime(product.ends_at)],
    ["In one hold", product.max_quantity_per_hold && `at most ${units(product.max_quantity_per_hold)}`],
    ["For each customer", product.max_per_customer && `at most ${units(product.max_per_customer)}`],
  ]);
}

let shownFacts = "";
function renderFacts(facts) {
  const known = facts.filter(([, text]) => text);
  if (JSON.stringify(known) === shownFacts) return;
  shownFacts = JSON.stringify(known);
  const rows = known.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  find("facts").replaceChildren(...rows);
}

function adopt(newProduct) {
  const old = product;
  product = newProduct;
  const refusal = purchase.refusal;
  const isOutdated =
    (refusal?.isOfStock && product.available_stock > (refusal.available ?? 0)) ||
    (refusal?.isOfPause && product.status !== "paused") ||
    (refusal?.isOfStart && product.status !== "upcoming");
  if (isOutdated) purchase.refusal = null;
  if (isOutdated && refusal.isOfStock) announce(`${units(product.available_stock)} available again.`);
  else if (old && old.status !== product.status) announce(`${statusLabel(product)}.`);
  render();
}

// MARK: The parts of the ticket

const renderStage = {
  missing() {
    setText(find("status"), "Not found");
    setText(find("name"), "There is no such product");
  },

  loading() {
    setText(find("loading-text"), stream.state === "waiting" ? `${outageOf(stream.answer)} The page tries again.` : "One moment.");
  },

  closed() {
    const [title, text] = {
      upcoming: ["Starts in", `The sale starts on ${product.starts_at && dateTime(product.starts_at)}. You can buy here then, without a reload.`],
      paused: ["The sale is paused", "The shop has paused the sale. This page tells you when it goes on, without a reload."],
      sold_out: ["Sold out", "Every unit is sold. If some come back, this page offers them at once."],
      ended: ["The sale has ended", "No more units can be held. Orders that exist can still be paid."],
    }[product.status];
    setText(find("closed-title"), title);
    setText(find("closed-text"), text);
    show(find("closed-countdown"), product.status === "upcoming");
  },

  choosing() {
    const isReservedOut = product.status === "reserved_out";
    const isBusy = purchase.stage === "asking";
    setText(find("choose-title"), isReservedOut ? "All units are reserved" : "How many?");
    setText(
      find("quantity-hint"),
      isReservedOut
        ? "They are in holds and unpaid orders of other buyers, and may come back. Ask for some to see when."
        : `You can hold 1 to ${count(greatestQuantity())}.`,
    );
    find("quantity").max = greatestQuantity();
    if (find("quantity").getAttribute("aria-invalid")) checkQuantity();
    setBusy(find("hold-button"), isBusy, isBusy ? "Asking" : isReservedOut ? "Ask for them" : "Hold");
    setText(find("hold-hint"), "Nobody else can buy held units while your time runs. A hold costs nothing.");
  },

  asking() {
    const isOrder = purchase.request?.kind === "order";
    setText(find("asking-title"), isOrder ? "Placing your order" : "Asking for your units");
    const attempt = purchase.attempt;
    setText(find("attempt-text"), attempt ? attempt.text : "One moment.");
    show(find("attempt-actions"), attempt);
    setBusy(find("ask-now"), attempt && !attempt.until, attempt?.until ? "Try now" : "Trying");
    if (attempt?.until && attempt.number !== toldAttempt) announce(attempt.text);
    toldAttempt = attempt?.number ?? 0;
  },

  held() {
    const { quantity } = purchase.hold;
    const isBusy = purchase.stage === "ordering";
    setText(find("held-title"), `You hold ${units(quantity)}`);
    const price = money(product.price, product.currency);
    setText(
      find("held-text"),
      `${count(quantity)} × ${price}. Place the order before the time runs out. You pay after that.`,
    );
    setBusy(find("order-button"), isBusy, isBusy ? "Ordering" : "Place the order");
  },

  unpaid() {
    const address = checkoutAddress(purchase.order.order_id);
    setText(
      find("unpaid-text"),
      address
        ? "Your order is placed. Pay before the time runs out. Then come back: this page has your receipt."
        : playsProvider
          ? "Your order is placed. This is a demo: below, you play the payment provider."
          : "Your order is placed. Pay as the shop told you, and name the order. This page shows the receipt when the payment is in.",
    );
    show(find("checkout-link"), address);
    if (address) find("checkout-link").href = address;
  },

  over() {
    const [title, text] = {
      cancelled: ["The payment failed", "The order is cancelled, and its units went back on sale. If money of yours still arrives, the shop sends it back or sends you the units. You can buy again."],
      expired: ["The time to pay is over", "The order has expired, and its units went back on sale. If money of yours still arrives, the shop sends it back or sends you the units. You can buy again."],
      refunded: ["Your money went back", "The shop has refunded this order."],
    }[purchase.order.status];
    setText(find("over-title"), title);
    setText(find("over-text"), text);
  },

  paid() {
    const isPart = purchase.order.refunded_amount > 0;
    setText(find("paid-title"), isPart ? "Paid, and partly refunded" : "Paid. It is yours");
    setText(find("paid-text"), "Keep this receipt. This browser shows it on this page until you buy again.");
  },
};
let toldAttempt = 0;

/// Where the buyer pays, with the order's id. Null if the shop has no such address.
function checkoutAddress(orderID) {
  if (!checkoutURL) return null;
  const address = new URL(checkoutURL);
  address.searchParams.set("order_id", orderID);
  return address.href;
}

function renderSteps(next) {
  const current = { held: "order", unpaid: "pay", over: purchase.stage === "refunded" ? "receipt" : "pay", paid: "receipt" }[next]
    ?? (purchase.request?.kind === "order" ? "order" : "hold");
  let isDone = true;
  for (const step of find("steps").children) {
    const isCurrent = step.dataset.step === current;
    if (isCurrent) isDone = false;
    step.dataset.state = isCurrent ? "current" : isDone ? "done" : "next";
    if (isCurrent) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
}

function renderReceipt() {
  const order = purchase.order;
  const isFinal = order && order.status !== "pending_payment";
  show(find("receipt"), order && product);
  show(find("again"), isFinal && product);
  if (!order || !product) return;
  setText(find("receipt-name"), product.name);
  show(find("receipt-refunded"), order.refunded_amount > 0);
  show(find("receipt-paid"), order.paid_at);
  show(find("receipt-created"), !order.paid_at);
  const texts = {
    quantity: count(order.quantity),
    amount: money(order.amount, order.currency),
    refunded: money(order.refunded_amount ?? 0, order.currency),
    "paid-at": order.paid_at ? dateTime(order.paid_at) : "",
    "created-at": dateTime(order.created_at),
    id: order.order_id,
  };
  for (const element of document.querySelectorAll("[data-order]")) setText(element, texts[element.dataset.order]);
}

let shownRefusal = null;
function renderRefusal(next) {
  const refusal = purchase.refusal;
  const isShown = refusal && ["choosing", "closed", "held"].includes(next) && !(next === "closed" && refusal.isOfStock);
  show(find("refusal"), isShown);
  if (refusal === shownRefusal) return;
  shownRefusal = refusal;
  if (!refusal) return;
  setText(find("refusal-title"), refusal.title);
  setText(find("refusal-text"), refusal.text);
  if (isShown) announce(`${refusal.title}. ${refusal.text}`);
}

// MARK: Time

const told = new Map();

/// Shows the countdowns.
function tick() {
  const now = performance.now();
  if (shownStage === "closed" || product?.status === "upcoming") tickStart();
  if (purchase.attempt) {
    const rest = purchase.attempt.until && purchase.attempt.until - now;
    show(find("attempt-countdown"), rest > 0);
    setText(find("attempt-countdown"), duration(rest || 0));
  }
  if (purchase.hold) {
    const rest = purchase.holdEndsAt - now;
    setText(find("hold-countdown"), duration(rest));
    find("hold-bar").value = Math.min(1, Math.max(0, rest / purchase.holdLastsMs));
    tell("hold", rest, "left of your hold");
  }
  if (purchase.stage === "unpaid") {
    const rest = clock.until(purchase.order.payment_due_at);
    setText(find("order-countdown"), duration(rest));
    tell("order", rest, "left to pay");
  }
  tickRefusal(now);
  renderConnection(now);
}

let askedAtStart = 0;
function tickStart() {
  if (product?.status !== "upcoming" || !product.starts_at) return;
  const rest = clock.until(product.starts_at);
  setText(find("closed-countdown"), duration(rest));
  setText(find("closed-title"), rest > 0 ? "Starts in" : "The sale starts now");
  setText(find("status"), startWords(product));
  tell("start", rest, "until the sale starts");
  // The stream tells of the start within a second. A new connection makes sure that it does.
  if (rest < -2000 && performance.now() - askedAtStart > 5000) {
    askedAtStart = performance.now();
    stream.renew();
  }
}

function tickRefusal(now) {
  const refusal = purchase.refusal;
  const line = find("refusal-countdown");
  show(line, refusal?.countsTo);
  if (!refusal?.countsTo) return;
  const rest = refusal.countsTo - now;
  setText(line, rest > 0 ? `${refusal.countLabel} ${duration(rest)}` : "You can try again now.");
  if (rest <= 0 && !refusal.isTold) {
    refusal.isTold = true;
    if (!find("refusal").hidden) announce("You can try again now.");
  }
}

/// Tells a screen reader the time left, three times in a countdown.
function tell(name, rest, words) {
  const before = told.get(name) ?? rest;
  told.set(name, rest);
  if (toldSeconds.some((seconds) => before > seconds * 1000 && rest <= seconds * 1000)) {
    announce(`${spokenDuration(rest)} ${words}.`);
  }
}

function renderConnection(now) {
  const line = find("connection");
  const rest = stream.retryAt - now;
  line.dataset.state = stream.state;
  find("stock").classList.toggle("stale", ["waiting", "connecting"].includes(stream.state));
  const texts = {
    live: "Live",
    connecting: "Connecting",
    hidden: "Not live while hidden",
    missing: "Not found",
    waiting: `${outageOf(stream.answer)} Trying again${rest > 0 ? ` in ${duration(rest)}` : ""}`,
  };
  setText(line, texts[stream.state]);
}

// MARK: How many

function greatestQuantity() {
  const limits = [product.max_quantity_per_hold, product.max_per_customer, Math.max(1, product.available_stock)];
  return Math.min(...limits.filter((limit) => limit !== null));
}

/// The quantity that the buyer chose. Null, with the reason on the page, if it is not valid.
function checkQuantity() {
  const field = find("quantity");
  const quantity = Number(field.value);
  const isValid = field.value !== "" && Number.isInteger(quantity) && quantity >= 1 && quantity <= greatestQuantity();
  const error = find("quantity-error");
  show(error, !isValid);
  if (isValid) field.removeAttribute("aria-invalid");
  else field.setAttribute("aria-invalid", "true");
  const greatest = greatestQuantity();
  setText(error, isValid ? "" : greatest === 1 ? "You can hold 1 unit." : `Choose a whole number from 1 to ${count(greatest)}.`);
  return isValid ? quantity : null;
}

function step(change) {
  const field = find("quantity");
  const quantity = Math.round(Number(field.value) || 0) + change;
  field.value = Math.min(greatestQuantity(), Math.max(1, quantity));
  checkQuantity();
  announce(field.value);
}

// MARK: Start

function listen() {
  find("fewer").addEventListener("click", () => step(-1));
  find("more").addEventListener("click", () => step(1));
  find("quantity").addEventListener("input", () => find("quantity").getAttribute("aria-invalid") && checkQuantity());
  find("choose").addEventListener("submit", (event) => {
    event.preventDefault();
    const quantity = checkQuantity();
    if (quantity === null) {
      announce(find("quantity-error").textContent);
      find("quantity").focus();
    } else {
      purchase.placeHold(quantity, product.max_per_customer !== null);
    }
  });
  find("order-button").addEventListener("click", () => purchase.placeOrder());
  find("release-button").addEventListener("click", () => purchase.release());
  find("ask-now").addEventListener("click", () => purchase.askNow());
  find("stop-asking").addEventListener("click", () => purchase.stopAsking());
  find("again-button").addEventListener("click", () => purchase.startAgain());
  stream.addEventListener("product", (event) => adopt(event.detail));
  stream.addEventListener("state", () => (product ? renderConnection(performance.now()) : render()));
  purchase.addEventListener("change", render);
}

async function start() {
  listen();
  stream.start();
  purchase.start();
  setInterval(tick, tickMs);
  if (playsProvider) {
    const { DemoProvider } = await import("./demo-provider.js");
    provider = new DemoProvider(find("provider"), purchase);
    render();
  }
}

if (productID) start();
else stream.state = "missing", render();
