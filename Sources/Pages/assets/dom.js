// Changes of the page. Text from the API becomes a text node, never HTML.

export const find = (id) => document.getElementById(id);

export function setText(element, text) {
  // Equal text stays, so that a selection survives and a screen reader is not told again.
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, isShown) {
  element.hidden = !isShown;
}

/// Makes an element with properties and children. A child is a node or a string.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/// Makes an element of SVG with attributes and children.
export function makeSVG(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}

/// Marks a field whose value is not valid, for its style and for a screen reader.
export function setInvalid(field, isInvalid) {
  if (isInvalid) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/// A busy button keeps the focus, so it is not `disabled`.
export function setBusy(button, isBusy, text) {
  setText(button, text);
  if (isBusy) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

const announcementMs = 5000;

/// Tells a screen reader, after what it says now. A repeated text is told again.
export function announce(text) {
  const line = make("p", {}, text);
  find("announcer").append(line);
  setTimeout(() => line.remove(), announcementMs);
}

export function focusOn(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}
