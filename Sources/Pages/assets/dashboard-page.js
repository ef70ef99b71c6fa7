// The control room. An operator signs in with an admin key, watches the sale, and changes what a sale needs.
//
// One stream sends the whole state each second, as the server computed it. The page only shows it. It never adds up money
// or stock.

import { secondsToWait } from "./api.js";
import { History } from "./chart.js";
import { clock } from "./clock.js";
import { AuditLog } from "./dashboard-audit.js";
import { ChangeList } from "./dashboard-change-list.js";
import { Changes } from "./dashboard-changes.js";
import { Endpoints } from "./dashboard-endpoints.js";
import { FailedDeliveries } from "./dashboard-failed-deliveries.js";
import { WaitingMoney } from "./dashboard-money.js";
import { OrderPanel } from "./dashboard-order.js";
import { OrderList } from "./dashboard-orders.js";
import { ProductTable } from "./dashboard-products.js";
import { Selection } from "./dashboard-selection.js";
import { ServerPanel } from "./dashboard-server.js";
import { Session } from "./dashboard-session.js";
import { announce, find, focusOn, setBusy, setText, show } from "./dom.js";
import { count, decimal, duration, milliseconds, shortTime } from "./format.js";
import { LiveStream } from "./live-stream.js";
import { outageOf } from "./refusals.js";

/// A tick comes each second.
const silenceMs = 5000;
const clockMs = 500;
/// A shorter interruption is shown beside the name only, so that the page does not jump.
const shortInterruptionMs = 2000;
/// A job that is later is shown as a warning. Workers look for due jobs each second.
const lateMs = 5000;

const session = new Session();
const stream = new LiveStream({
  path: "/api/admin/ticks",
  event: "tick",
  lastEvent: "signed-out",
  question: Session.path,
  missingStatus: 401,
  silenceMs,
});
const changes = new Changes();
new ChangeList(changes);
const table = new ProductTable();
const selection = new Selection(changes, session);
const money = new WaitingMoney(changes, session);
const order = new OrderPanel(changes, session);
const orders = new OrderList(order, (id) => productOf(id)?.name);
const server = new ServerPanel();
const history = new History();
const audit = new AuditLog((id) => productOf(id)?.name);
const endpoints = new Endpoints(changes, session);
const failed = new FailedDeliveries(changes, session, (id) => endpoints.urlOf(id));

let tick = null;
/// When the stream was lost, in milliseconds since 1970. Null while it is live or was never live.
let lostAt = null;

// MARK: Signing in and out

async function begin() {
  for (let number = 1; ; number += 1) {
    const answer = await session.find();
    if (answer.ok) return enter();
    if (answer.status === 401) return leave("");
    lead(`${outageOf(answer)} The page tries again.`);
    await new Promise((resolve) => setTimeout(resolve, secondsToWait(answer, number) * 1000));
  }
}

function enter() {
  show(find("sign-in"), false);
  lead("One moment.");
  show(find("session"), true);
  setText(find("who"), session.current.name);
  setText(find("scope"), session.current.scope);
  stream.start();
  changes.resume();
}

function lead(text) {
  setText(find("lead"), text);
  show(find("lead"), text);
}

/// - note: why the session is over, in words.
function leave(note) {
  session.current = null;
  stream.stop();
  tick = null;
  lostAt = null;
  history.clear();
  for (const part of [audit, table, money, order, orders, server]) part.clear();
  selection.render(null, [], 0);
  for (const part of [endpoints, failed]) part.clear();
  for (const part of ["floor", "session", "outage"]) show(find(part), false);
  lead(note);
  show(find("sign-in"), true);
  find("key").focus();
  if (note) announce(note);
  renderConnection();
}

async function signIn() {
  const field = find("key");
  const button = find("sign-in-button");
  if (button.getAttribute("aria-disabled")) return;
  const key = field.value.trim();
  if (!key) return refuse("Enter an admin key.");
  setBusy(button, true, "Signing in");
  const answer = await session.signIn(key);
  setBusy(button, false, "Sign in");
  if (answer.ok) {
    field.value = "";
    show(find("key-error"), false);
    field.removeAttribute("aria-invalid");
    enter();
    focusOn(find("title"));
  } else if (answer.status === 401) {
    field.value = "";
    refuse("The shop does not know this key, or it was revoked.");
  } else {
    const isRefusal = answer.status >= 400 && answer.status < 500 && answer.body?.detail;
    refuse(isRefusal ? answer.body.detail : `${outageOf(answer)} Nobody is signed in yet. Try again.`);
  }
}

function refuse(text) {
  setText(find("key-error"), text);
  show(find("key-error"), true);
  find("key").setAttribute("aria-invalid", "true");
  find("key").focus();
  announce(text);
}

async function signOut() {
  const button = find("sign-out");
  if (button.getAttribute("aria-disabled")) return;
  setBusy(button, true, "Signing out");
  const answer = await session.signOut();
  setBusy(button, false, "Sign out");
  const error = session.current ? `Still signed in. ${outageOf(answer)}` : "";
  setText(find("sign-out-error"), error);
  if (error) return announce(error);
  changes.clear();
  leave("You are signed out.");
}

// MARK: Ticks

function adopt(newTick) {
  const old = tick;
  tick = newTick;
  const time = Date.parse(tick.time);
  const { shop, database, server: { name: serverName, latency_ms: latency } } = tick;
  // While the database is away, the shop is the last known one. It is no measurement.
  const measured = database.reachable ? shop : null;
  history.add({
    time,
    shop: measured && Selection.ratesOf(measured),
    products: new Map(measured?.products.map((product) => [product.id, Selection.ratesOf(product)])),
    serverName,
    latency: [latency.p50, latency.p99],
  });
  if (!old) {
    lead("");
    show(find("floor"), true);
    order.follow(false);
    refresh();
  }
  render();
  if (old) tellChanges(old);
}

/// Reads what ticks do not have.
function refresh() {
  audit.refresh();
  failed.refresh();
}

function render() {
  if (!tick) return;
  const now = Date.parse(tick.time);
  const { shop } = tick;
  const product = selectedProduct();
  if (shop) {
    table.render(shop, product?.id ?? null);
    money.render(shop.money_waiting);
    order.render();
    for (const name of ["holds", "orders", "payments"]) setText(find(`${name}-rate`), decimal(shop[`${name}_per_second`]));
    const late = shop.jobs.late_ms;
    setText(find("jobs"), late < 1000 ? "On time" : `${milliseconds(late)} late`);
    find("jobs").classList.toggle("warning", late >= lateMs);
    endpoints.render(shop.deliveries);
  }
  const valuesOf = (sample) => (product ? sample.products.get(product.id) : sample.shop);
  selection.render(product, samplesOf(valuesOf), now);
  server.render(tick, samplesOf((sample) => sample.serverName === tick.server.name && sample.latency), now);
  renderConnection();
}

function samplesOf(valuesOf) {
  return history.samples.map((sample) => ({ time: sample.time, values: valuesOf(sample) })).filter(({ values }) => values);
}

/// Tells a screen reader what an operator should know at once.
function tellChanges(old) {
  const { reachable } = tick.database;
  if (old.database.reachable !== reachable) announce(reachable ? "The database is back." : "The database is away.");
  const before = new Map(old.shop?.products.map(({ id, status }) => [id, status]));
  for (const { id, name, status } of tick.shop?.products ?? []) {
    if (!before.has(id) || before.get(id) === status) continue;
    if (status === "sold_out") announce(`${name} is sold out.`);
    else if (status === "paused") announce(`${name} is paused.`);
  }
  const wasEnabled = new Set(old.shop?.deliveries?.endpoints.filter(({ status }) => status === "enabled").map(({ id }) => id));
  for (const { id, url, status } of tick.shop?.deliveries?.endpoints ?? []) {
    if (status === "disabled" && wasEnabled.has(id)) announce(`Events no longer go to ${url}.`);
  }
  const due = tick.shop?.money_waiting.refund_due ?? 0;
  if (due > (old.shop?.money_waiting.refund_due ?? due)) announce(due === 1 ? "A refund is due." : `${count(due)} refunds are due.`);
}

// MARK: The selection

function productOf(id) {
  return tick?.shop?.products.find((product) => product.id === id);
}

/// The product of the address, that of its order, or the only one. Null means the whole shop.
function selectedProduct() {
  const id = location.hash.match(/^#product-([1-9]\d*)$/)?.[1] ?? order.productID;
  if (id) return productOf(Number(id)) ?? null;
  const products = tick?.shop?.products ?? [];
  return location.hash !== "#shop" && products.length === 1 ? products[0] : null;
}

function select(event) {
  const link = event.target.closest("a[href^='#']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  location.hash = link.hash;
  render();
  find("selection-name").focus({ preventScroll: true });
  const { top } = find("selection").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) find("selection").scrollIntoView({ block: "start" });
}

// MARK: The connection

let toldAway = false;

function renderConnection() {
  const now = clock.now();
  const isLive = stream.state === "live";
  const isAway = isLive && tick && !tick.database.reachable;
  const since = isAway ? Date.parse(tick.database.since) : isLive || stream.state === "hidden" ? null : lostAt;
  const sinceText = since === null ? "" : `since ${shortTime(since, now)}`;
  const rest = stream.retryAt - performance.now();
  const again = stream.state === "waiting" && rest > 0 ? `, trying again in ${duration(rest)}` : "";
  const line = find("connection");
  line.dataset.state = isAway || since !== null ? "waiting" : stream.state;
  const texts = { live: "Live", hidden: "Not live while hidden", missing: "Signed out", waiting: "Connecting", connecting: "Connecting" };
  setText(line, isAway ? `Database away ${sinceText}` : since !== null ? `Reconnecting ${sinceText}${again}` : texts[stream.state]);
  document.title = [isAway ? "Database away" : since !== null && "Reconnecting", "Control room", "FlashSale"].filter(Boolean).join(" · ");
  if (!tick && stream.state === "waiting") lead(`${outageOf(stream.answer)} The page tries again.`);
  renderOutage(isAway, since, sinceText, now);
}

function renderOutage(isAway, since, sinceText, now) {
  const isLong = since !== null && now - since > shortInterruptionMs;
  show(find("outage"), isAway || isLong);
  if (isLong && !isAway && !toldAway) announce("The connection to the server is lost. The page tries again.");
  if (!isLong && toldAway && stream.state === "live") announce("Live again.");
  toldAway = isLong && !isAway;
  if (!isAway && !isLong) return;
  const elapsed = `for ${duration(Math.max(0, now - since))}`;
  setText(find("outage-title"), `${isAway ? "Database away" : "Reconnecting"} ${sinceText}, ${elapsed}`);
  setText(
    find("outage-text"),
    isAway
      ? `${tick.database.reason} Server ${tick.server.name} tells buyers: 503 database-unavailable, Retry-After: 1. `
        + `Nothing that they ask for is done. ${tick.shop ? "The figures of the shop are the last known ones." : "Nothing is known of the shop yet."}`
      : `${outageOf(stream.answer)} All figures are the last known ones.`,
  );
}

// MARK: Start

stream.addEventListener("data", ({ detail }) => adopt(detail));
stream.addEventListener("answer", ({ detail }) => session.current && Object.assign(session.current, detail));
stream.addEventListener("state", () => {
  if (stream.state === "live" || stream.state === "hidden") lostAt = null;
  else if (stream.state === "waiting") lostAt ??= clock.now();
  if (stream.state === "missing" && session.current) leave("Your session has ended. Sign in again.");
  if (stream.state === "live" && tick) refresh();
  if (stream.state !== "live") for (const part of [audit, failed]) part.stop();
  renderConnection();
});
changes.addEventListener("change", render);
changes.addEventListener("done", refresh);
changes.addEventListener("signed-out", () => session.current && leave("Your session has ended. Sign in again."));
find("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn();
});
find("sign-out").addEventListener("click", signOut);
find("product-table").addEventListener("click", select);
find("back").addEventListener("click", () => table.focus(selectedProduct()?.id));
addEventListener("hashchange", () => {
  if (tick) order.follow(true);
  render();
});
stream.addEventListener("state", () => (stream.state === "live" ? order.refresh() : order.stop()));
// The back button of a browser may bring the page back as it was, with what was typed.
addEventListener("pagehide", () => (find("key").value = ""));
setInterval(renderConnection, clockMs);
begin();
