// Numbers, money and times as text. The pages are in English, so they use the English that the buyer prefers.

const locale = navigator.languages?.find((language) => /^en\b/i.test(language)) ?? "en";

// ISO 4217. All other currencies have two digits after the point.
const minorDigits = new Map([
  ..."BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(" ").map((code) => [code, 0]),
  ..."BHD IQD JOD KWD LYD OMR TND".split(" ").map((code) => [code, 3]),
  ..."CLF UYW".split(" ").map((code) => [code, 4]),
]);

const digitsOf = (currency) => minorDigits.get(currency) ?? 2;

/// - amount: in minor units of the currency.
export function money(amount, currency) {
  const digits = digitsOf(currency);
  const format = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(locale, format).format(amount / 10 ** digits);
}

/// The same as a number for a field, such as 50.00.
export function amountText(amount, currency) {
  return (amount / 10 ** digitsOf(currency)).toFixed(digitsOf(currency));
}

/// Minor units of the currency. Null if the text of the field is no amount, such as 1,000 or 0.001.
export function minorAmount(text, currency) {
  const [, before, after = ""] = text.trim().match(/^(\d+)(?:\.(\d+))?$/) ?? [];
  const amount = Number(before + after.padEnd(digitsOf(currency), "0"));
  return after.length <= digitsOf(currency) && Number.isSafeInteger(amount) ? amount : null;
}

const whole = new Intl.NumberFormat(locale);
const oneDigit = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function count(number) {
  return whole.format(number);
}

/// A number of which small differences matter only if it is small, such as 2, 1.9 or 812.
export function decimal(number) {
  return Number.isInteger(number) || number >= 9.95 ? whole.format(Math.round(number)) : oneDigit.format(number);
}

/// Such as 1.9 ms or 2.4 s.
export function milliseconds(number) {
  return number < 999.5 ? `${decimal(number)} ms` : `${decimal(number / 1000)} s`;
}

export function units(number) {
  return number === 1 ? "1 unit" : `${count(number)} units`;
}

/// Such as 0:07, 12:07, 3:12:07 or 2 d 03:12:07.
export function duration(milliseconds) {
  const all = wholeSeconds(milliseconds);
  const [days, hours, minutes, seconds] = parts(all);
  const two = (number) => String(number).padStart(2, "0");
  if (days) return `${days} d ${two(hours)}:${two(minutes)}:${two(seconds)}`;
  if (hours) return `${hours}:${two(minutes)}:${two(seconds)}`;
  return `${minutes}:${two(seconds)}`;
}

/// Such as "12 minutes 7 seconds", for a screen reader.
export function spokenDuration(milliseconds) {
  const all = wholeSeconds(milliseconds);
  const names = ["day", "hour", "minute", "second"];
  const words = parts(all)
    .map((number, index) => (number ? `${number} ${names[index]}${number === 1 ? "" : "s"}` : ""))
    .filter(Boolean);
  return words.slice(0, 2).join(" ") || "less than a second";
}

const timeFormat = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const dateTimeFormat = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

/// A time in the reader's time zone.
export function dateTime(time) {
  return dateTimeFormat.format(new Date(time));
}

/// The same, without the day if it is the day of `now`, which is in milliseconds since 1970.
export function shortTime(time, now) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return (isToday ? timeFormat : dateTimeFormat).format(date);
}

/// A countdown ends when it shows zero, so a started second counts as a whole one.
function wholeSeconds(milliseconds) {
  return Math.max(0, Math.ceil(milliseconds / 1000));
}

function parts(seconds) {
  return [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
}
