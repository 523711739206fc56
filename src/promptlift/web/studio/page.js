// What every part of the page uses: elements by id, and the two places where it speaks.

export const at = (id) => document.getElementById(id);

/** Say in one line what went wrong; nothing with "". */
export function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

export function fail(error) { problem(error.message); }

/** Say what is worth hearing, and no more than that. */
export function tell(text) { at("state").textContent = text; }

/** An element with a text in it. */
export function make(kind, text = "", name = "") {
  const element = document.createElement(kind);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}
