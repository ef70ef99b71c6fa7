// A button that copies the text of an element.

import { announce, make, setText } from "./dom.js";

const copiedMs = 2000;

/// - label: what the button copies, for a screen reader.
export function copyButton(element, label) {
  const button = make("button", { type: "button", className: "copy", ariaLabel: label }, "Copy");
  let timer = 0;
  button.addEventListener("click", async () => {
    const text = await copy(element).then(() => "Copied", () => "Select the text to copy it");
    setText(button, text);
    announce(text);
    clearTimeout(timer);
    timer = setTimeout(() => setText(button, "Copy"), copiedMs);
  });
  return button;
}

/// A browser has `navigator.clipboard` only in a secure context: HTTPS or loopback.
async function copy(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  getSelection().selectAllChildren(element);
  if (!document.execCommand("copy")) throw new Error("The browser does not allow copying.");
}
