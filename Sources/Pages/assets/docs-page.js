// What /docs does with a script: the address of this server in the curl lines, buttons that copy them, and the search.

import { copyButton } from "./copy.js";
import { find, setText, show } from "./dom.js";

for (const address of document.querySelectorAll(".server")) address.textContent = location.origin;

// Copying

function addCopyButton(line) {
  const call = line.closest("section").querySelector("h3").textContent;
  line.after(copyButton(line.querySelector("code"), `Copy the curl line: ${call}`));
}

for (const line of document.querySelectorAll(".curl")) addCopyButton(line);

// The search

const box = find("search");
/// The calls and schemas, with their words. Schemas of single values have no link in the contents.
const entries = [...document.querySelectorAll(".call, .schema")].map((section) => ({
  section,
  link: document.querySelector(`.links a[href="#${CSS.escape(section.id)}"]`)?.parentElement,
  text: `${section.id} ${section.textContent}`.toLowerCase(),
}));
/// What is only shown with one of its parts.
const wholes = [...document.querySelectorAll(".group, .links")];
/// The parts of the text that are neither a call nor a schema.
const others = document.querySelectorAll("article > :not(.group)");

function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { section, link, text } of entries) {
    const isFound = words.every((word) => text.includes(word));
    count += isFound;
    show(section, isFound);
    if (link) show(link, isFound);
  }
  const values = document.querySelector('.links a[href="#values"]').parentElement;
  show(values, document.querySelector("#values .schema:not([hidden])") !== null);
  for (const whole of wholes) {
    const part = whole.matches(".group") ? ":is(.call, .schema)" : "li";
    show(whole, whole.querySelector(`${part}:not([hidden])`) !== null);
  }
  for (const other of others) show(other, words.length === 0);
  setText(find("found"), words.length === 0 ? "" : count === 1 ? "1 part matches" : `${count || "No"} parts match`);
}

find("search-form").addEventListener("submit", (event) => event.preventDefault());
box.addEventListener("input", search);
show(find("search-form"), true);
// A reload may have kept the words.
if (box.value) search();

// A link to a part that the search hides ends the search. The browser then goes to that part.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (!link || !find(link.hash.slice(1)).closest("[hidden]")) return;
  box.value = "";
  search();
});

// The contents

/// On a narrow screen the contents are long, so they are closed there.
const isNarrow = matchMedia("(max-width: 56rem)");
const adapt = () => (find("contents").open = !isNarrow.matches);
isNarrow.addEventListener("change", adapt);
adapt();

// Paper shows the members that the screen shows after a click.
addEventListener("beforeprint", () => document.querySelectorAll("article details").forEach((each) => (each.open = true)));
