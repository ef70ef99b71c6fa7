// The calls to the API. Every call ends with an answer, never with an exception.

import { clock } from "./clock.js";

const timeoutMs = 10_000;

/// An answer has:
///   ok          whether the status is 2xx
///   status      the HTTP status; 0 if no response came
///   body        the JSON body, or null
///   problem     the last segment of a problem's type, such as "insufficient-stock", or null
///   retryAfter  seconds to wait before another request, or null
///   isReplay    whether an earlier request under this key had the effect
///   sent, received  performance.now() around the call
export async function call(method, path, { body, key } = {}) {
  const headers = { Accept: "application/json" };
  // The server takes a change with a session's cookie only with this type, which a page of another site cannot send.
  if (method !== "GET") headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const sent = performance.now();
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout?.(timeoutMs),
    });
    const received = performance.now();
    clock.observeDate(response.headers.get("Date"), sent, received);
    const json = isJSON(response) ? await response.json() : null;
    // A success without its body tells nothing, so it counts as a lost answer.
    if (response.ok && !json && response.status !== 204) return lost(sent);
    return {
      ok: response.ok,
      status: response.status,
      body: json,
      problem: (!response.ok && problemOf(json)) || null,
      retryAfter: secondsOf(response.headers.get("Retry-After")),
      isReplay: response.headers.get("Idempotent-Replayed") === "true",
      sent,
      received,
    };
  } catch {
    return lost(sent);
  }
}

/// Whether the same request, under the same key, may still succeed.
export function mayBeRepeated(answer) {
  return answer.status === 0 || answer.status === 408 || answer.status === 429 || answer.status >= 500;
}

/// Seconds before attempt number `attempt + 1`. The random part spreads the requests of many buyers.
export function secondsToWait(answer, attempt) {
  const least = answer.retryAfter ?? Math.min(0.5 * 2 ** (attempt - 1), 8);
  return least + Math.random() * Math.min(least, 2);
}

function lost(sent) {
  return { ok: false, status: 0, body: null, problem: null, retryAfter: null, isReplay: false, sent,
    received: performance.now() };
}

function isJSON(response) {
  return /^application\/(problem\+)?json\b/.test(response.headers.get("Content-Type") ?? "");
}

function problemOf(json) {
  return typeof json?.type === "string" && json.type.startsWith("/problems/") ? json.type.slice(10) : null;
}

function secondsOf(text) {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
