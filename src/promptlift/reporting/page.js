"use strict";
// Folded parts open where a link or printing asks for them; the contents mark where one reads.
(() => {
  const sections = [...document.querySelectorAll("main > section")];
  const folds = sections.flatMap((part) => [...part.querySelectorAll(":scope > details")]);
  const contents = document.getElementById("contents");
  const all = document.getElementById("unfold");

  // The part that an address names, and all that it lies in.
  function unfold() {
    const part = document.getElementById(location.hash.slice(1));
    if (!part) return;
    const own = part.querySelector(":scope > details");
    if (own) own.open = true;
    for (let node = part; node; node = node.parentElement) {
      if (node.localName === "details") node.open = true;
    }
    part.scrollIntoView();
  }

  function mark() {
    const line = scrollY && innerHeight / 3; // of a page that nobody scrolled, the first part
    const passed = sections.filter((part) => part.getBoundingClientRect().top < line);
    const here = (passed.at(-1) ?? sections[0]).id;
    for (const link of contents.querySelectorAll("a")) {
      if (link.hash === `#${here}`) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
  }

  const folded = () => folds.some((fold) => !fold.open);
  const name = () => (all.textContent = folded() ? "Open all parts" : "Close all parts");
  let closed = []; // to be closed again after printing

  contents.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    contents.hidePopover?.();
    if (link.hash === location.hash) unfold(); // the address does not change
  });
  all.addEventListener("click", () => {
    const open = folded();
    for (const fold of folds) fold.open = open;
  });
  for (const fold of folds) fold.addEventListener("toggle", () => { name(); mark(); });
  addEventListener("hashchange", unfold);
  addEventListener("scroll", mark, { passive: true });
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("main details:not([open])")];
    for (const fold of closed) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of closed) fold.open = false;
  });
  all.hidden = folds.length < 2;
  name();
  unfold();
  mark();
})();
