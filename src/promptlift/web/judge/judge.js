"use strict";
// Shows one pair at a time and sends each answer before it moves on. Which side is which is not
// known here: the server does not say.

const at = (id) => document.getElementById(id);
const SMALL = 256; // pixels; smaller pictures are shown with sharp pixels
const RETRY_MS = [500, 1000, 2000, 4000];
const KEYS = { 1: "left", 2: "right", 0: "tie", b: "both_bad", s: "skip" };

let state = null;
let shownAt = 0;
let busy = true;
let unseen = false; // a picture of the pair could not be loaded
const loaded = new Map();

function picture(address) {
  if (!loaded.has(address)) {
    const image = new Image();
    image.src = address;
    loaded.set(address, image.decode().then(() => image));
    loaded.get(address).catch(() => loaded.delete(address));
  }
  return loaded.get(address);
}

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");

// Until it is answered: a vote that may have been lost is sent again under the same key, and the
// server counts it once.
async function ask(address, body) {
  for (let tries = 0; ; tries += 1) {
    let why = "Not saved yet: the server does not answer. Trying again…";
    try {
      const response = await fetch(address, body && {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      if (response.ok || response.status === 409) {
        const found = await response.json();
        problem(response.status === 409
          ? "This was answered in another window; here is the next question." : "");
        return found;
      }
      if (response.status < 500) {
        problem(await response.text());
        return null;
      }
      if (response.status === 507) why = await response.text();
    } catch {
      // no connection; said below
    }
    problem(why);
    await wait(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
  }
}

async function show(next) {
  if (!next) return;
  const samePair = state && next.question && state.position === next.position;
  state = next;
  for (const id of ["undo", "undo-last"]) at(id).disabled = !state.can_undo;
  at("progress").value = state.total ? state.position / state.total : 1;
  at("progress-text").textContent =
    `${Math.min(state.position + 1, state.total)} of ${state.total}`;
  at("done").hidden = state.question !== null;
  if (!samePair && at("large").open) at("large").close(); // it shows the pair before
  if (state.question === null) {
    at("pair").hidden = true;
    at("progress-text").textContent = `${state.total} of ${state.total}`;
    at("undo-last").hidden = !state.can_undo;
    busy = false;
    return;
  }
  if (!samePair) {
    try {
      const [left, right] = await Promise.all([picture(state.left), picture(state.right)]);
      at("left").src = left.src;
      at("right").src = right.src;
      document.querySelector(".pictures").classList.toggle("small", left.naturalWidth < SMALL);
      unseen = false;
    } catch {
      unseen = true;
      for (const side of ["left", "right"]) at(side).removeAttribute("src");
      problem("A picture of this pair cannot be shown. Skip it, or reload the page.");
    }
    at("prompt").textContent = state.prompt;
  }
  const asked = state.questions.findIndex((question) => question.name === state.question);
  const count = state.questions.length > 1 ? `${asked + 1}/${state.questions.length} ` : "";
  at("question").textContent = count + state.questions[asked].text;
  at("pair").hidden = false;
  for (const button of document.querySelectorAll(".given")) button.classList.remove("given");
  shownAt = performance.now();
  busy = false;
  for (const address of loaded.keys()) {
    if (![state.left, state.right, ...state.ahead].includes(address)) loaded.delete(address);
  }
  for (const address of state.ahead) picture(address).catch(() => {});
}

async function answer(choice) {
  if (busy || !state || state.question === null) return;
  if (unseen && choice !== "skip") return; // nobody votes on what was not shown
  busy = true;
  const seconds = (performance.now() - shownAt) / 1000;
  const button = document.querySelector(`[data-answer="${choice}"]`);
  if (choice !== "skip") button.classList.add("given");
  const { position, question } = state;
  await show(await ask("votes", { position, question, answer: choice, seconds, key: newKey() }));
  busy = false;
}

async function undo() {
  if (busy || !state || !state.can_undo) return;
  busy = true;
  await show(await ask("undo", { key: newKey() }));
  busy = false;
}

function enlarge() {
  if (!state || state.question === null) return;
  at("large-left").src = at("left").src;
  at("large-right").src = at("right").src;
  at("large").showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "z" && at("large").open) at("large").close();
  else if (key === "z") enlarge();
  else if (key === "u") undo();
  else if (key in KEYS) answer(KEYS[key]);
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-answer]")) {
  button.addEventListener("click", () => answer(button.dataset.answer));
}
for (const button of document.querySelectorAll(".zoom")) button.addEventListener("click", enlarge);
for (const id of ["undo", "undo-last"]) at(id).addEventListener("click", undo);
at("shut").addEventListener("click", () => at("large").close());
at("large").addEventListener("click", (event) => {
  if (event.target.tagName === "IMG") at("large").close();
});
ask("state").then(show);
