// What goes to the clipboard: a text, or HTML with a text beside it.

/** Copy a text. */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages of other hosts without TLS have no clipboard of that kind.
  if (!copied({ "text/plain": text })) throw new Error("The browser does not let this page copy.");
}

/**
 * Copy HTML as it is, and a text for whatever reads no HTML. Where the browser refuses, the text
 * alone is copied, and the answer is false.
 */
export async function copyHtml(html, text) {
  // `navigator.clipboard.write` would rewrite the HTML.
  if (copied({ "text/html": html, "text/plain": text })) return true;
  await copyText(text);
  return false;
}

function copied(data) {
  const { activeElement } = document;
  const field = document.createElement("textarea"); // browsers copy where something is selected
  field.value = data["text/plain"];
  field.addEventListener("copy", (event) => {
    event.preventDefault();
    for (const [kind, value] of Object.entries(data)) event.clipboardData.setData(kind, value);
  });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  activeElement?.focus({ preventScroll: true });
  return done;
}
