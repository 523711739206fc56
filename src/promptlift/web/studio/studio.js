// The page: what happens when something is pressed or changed, and how it begins.

import "/studio/history_page.js";
import "/studio/picture_prompt.js";
import { RANGES, grow, isLocked, isSeed, lock, newSeed, say, suit } from "/studio/options.js";
import { at } from "/studio/page.js";
import { begin, dice, improve, later, leave, save, startOver, step, take } from "/studio/results.js";
import { TEXT_FIELD } from "/studio/undoing.js";

at("prompt").addEventListener("input", () => {
  grow();
  if (!isLocked()) newSeed();
  later();
});
for (const name of ["seed", "style", "include", "avoid", "negative"]) at(name).addEventListener("input", () => { say(); later(); });
at("seed").addEventListener("input", () => lock(isSeed(at("seed").value))); // it was typed to stay
for (const name of RANGES) at(name).addEventListener("input", () => { say(); later(); });
for (const name of ["picture_model", "writer"]) at(name).addEventListener("change", () => { suit(); improve(); });
for (const name of ["n", "mode", "form", "chunks"]) at(name).addEventListener("change", () => { say(); improve(); });
for (const one of document.querySelectorAll("[name=length]")) {
  one.addEventListener("change", () => { say(); improve(); });
}
for (const chip of document.querySelectorAll("[data-style]")) {
  chip.addEventListener("click", () => {
    at("style").value = chip.ariaPressed === "true" ? "" : chip.dataset.style;
    say();
    improve();
  });
}
for (const example of document.querySelectorAll("[data-example]")) {
  example.addEventListener("click", () => {
    take(example.textContent);
    at("prompt").focus();
  });
}
at("reset").addEventListener("click", startOver);
at("to-options").addEventListener("click", () => {
  at("folded").open = true;
  at("folded").scrollIntoView({ block: "start" });
  at("folded").querySelector("summary").focus({ preventScroll: true });
});
at("options").addEventListener("submit", (event) => event.preventDefault());
at("dice").addEventListener("click", dice);
at("lock").addEventListener("click", () => {
  lock(!isLocked());
  save();
});
at("undo").addEventListener("click", () => step(true));
at("redo").addEventListener("click", () => step(false));
for (const button of document.querySelectorAll(".shut")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  if (document.querySelector("dialog[open]")) return;
  const writing = event.target.matches?.(TEXT_FIELD);
  if (control && event.key === "Enter") dice();
  else if (control && event.key.toLowerCase() === "z" && !writing) {
    event.preventDefault();
    step(!event.shiftKey);
  }
});
addEventListener("online", () => improve());
addEventListener("pagehide", leave);
begin();
