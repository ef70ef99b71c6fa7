// Refusals and faults in words: what happened, and what the buyer can do next.

import { clock } from "./clock.js";
import { count, units } from "./format.js";

/// A refusal has `title` and `text`. If waiting may help, `countsTo` is the time, by `performance.now()`, at which to try
/// again, and `countLabel` says what happens then. `isOfStock` is true if more stock would end the refusal, `isOfStart`
/// if the start of the sale would, and `isOfPause` if the end of a pause would.
export function refusalOf(answer, quantity) {
  const { problem, body } = answer;
  switch (problem) {
    case "insufficient-stock":
      return ofStock(body, quantity, answer);
    case "sale-not-started":
      return {
        title: "The sale has not started",
        text: "Nothing is held yet. You can hold units as soon as the sale starts.",
        ...countdown(body.starts_at, "Starts in"),
        isOfStart: true,
      };
    case "sale-paused":
      return {
        title: "The sale is paused",
        text: "The shop has paused the sale. Holds and orders that exist go on. This page tells you when the sale goes on.",
        isOfPause: true,
      };
    case "sale-ended":
      return { title: "The sale has ended", text: "No more units can be held." };
    case "customer-limit-reached":
      return {
        title: `At most ${units(body.max_per_customer)} for each customer`,
        text: body.next_release_at
          ? "Your holds and orders have reached this limit. A hold or an unpaid order of yours ends soon. Then you can try again."
          : "Your holds and orders reach this limit, or you chose too many. Choose fewer units.",
        ...countdown(body.next_release_at, "Try again in", answer.retryAfter),
      };
    case "validation":
      return {
        title: "The request is not valid",
        text: (body.errors ?? []).map((error) => error.detail).join(" ") || body.detail,
      };
    case "not-found":
      return { title: "The product is gone", text: "The shop no longer has this product. Choose another one." };
    case "customer-token-required":
    case "unauthorized":
      return {
        title: "Sign in first",
        text: "The shop sells this product only to customers who have signed in. Sign in at the shop, and buy from there.",
      };
    case "idempotency-key-reused":
      return { title: "The request was mixed up with another", text: "Nothing is held. Press the button again." };
    case "line-ahead":
      return {
        title: "Other buyers are in line",
        text: "Other buyers took a place in the line before you. Units go to them first. Try again later.",
      };
    default:
      return {
        title: body?.title ?? `The shop refused the request (status ${answer.status})`,
        text: body?.detail ?? "Reload the page, and try again.",
      };
  }
}

function ofStock({ available_stock: available, held_stock: held, next_release_at: next }, quantity, answer) {
  const isBack = countdown(next, "The next may come back in", answer.retryAfter);
  if (available > 0) {
    const isWhole = available < quantity ? `You chose ${count(quantity)}. ` : "";
    return {
      title: `Only ${units(available)} left`,
      text: `${isWhole}Choose fewer${next ? ", or wait: other buyers may give some back" : ""}.`,
      isOfStock: true,
      available,
      ...isBack,
    };
  }
  if (!next) return { title: "Sold out", text: "Every unit is sold, and none can come back from a hold.", isOfStock: true };
  const where = held > 0 ? `Other buyers hold ${units(held)} and have not paid.` : "Other buyers have orders that are not paid.";
  return {
    title: "All units are reserved",
    text: `${where} If they do not buy, the units go back on sale. Then the first buyer who asks gets them.`,
    isOfStock: true,
    ...isBack,
  };
}

/// - time: RFC 3339, by the server's clock, or null.
/// - retryAfter: seconds. It counts where there is no time.
function countdown(time, countLabel, retryAfter = null) {
  if (time) return { countsTo: performance.now() + clock.until(time), countLabel };
  if (retryAfter) return { countsTo: performance.now() + retryAfter * 1000, countLabel };
  return {};
}

/// Why the page repeats a request, in words.
export function faultOf(answer) {
  switch (answer.problem) {
    case "overloaded":
      return "The shop is very busy. Nothing was done yet.";
    case "database-unavailable":
      return "The shop cannot reach its database. Nothing was done yet.";
    case "outcome-unknown":
      return "The shop does not know yet whether your request took effect. The same request again tells.";
    case "too-many-requests":
      return "Too many requests came from you, or from your network. Nothing was done yet.";
    case "shutting-down":
      return "The shop is restarting. Nothing was done yet.";
  }
  if (answer.status === 502 || answer.status === 504) {
    return `The shop is out of reach (status ${answer.status}). The same request again tells whether it took effect.`;
  }
  if (answer.status === 0) return "No response came, so your request may or may not have arrived. The same request again tells.";
  return `The shop has a fault (status ${answer.status}). The same request again tells what happened.`;
}

/// Why the page has no current product, in words. The answer may be null.
export function outageOf(answer) {
  switch (answer?.problem) {
    case "database-unavailable":
      return "The shop cannot reach its database.";
    case "overloaded":
      return "The shop is very busy.";
    case "shutting-down":
      return "The shop is restarting.";
    case "too-many-requests":
      return "Too many requests came from you, or from your network.";
  }
  return !navigator.onLine ? "This device is offline." : "The shop does not respond.";
}
