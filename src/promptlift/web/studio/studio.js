// The page's state, and what happens when it changes. Prompts are set as text, never as markup.

import { Refused, ask, post } from "/studio/api.js";
import { Card } from "/studio/cards.js";
import { Steps, history, kept } from "/studio/history.js";
import { withoutPixels } from "/studio/png.js";

const at = (id) => document.getElementById(id);
const PAUSE_MS = 350; // of typing, before the prompt is improved
const KEEP_MS = 2000; // before a result enters the history
const RETRY_S = [1, 2, 4, 8];
const FIELDS = ["prompt", "seed", "n", "mode", "chunks", "prefer", "avoid", "negative"];
const RANGES = ["painters", "styles", "variety"];

const steps = new Steps();
let cards = [];
let shown = null; // the request whose results are shown, as text
let asked = null; // the state that it was made from
let forced = null; // a prompt that is improved though it seems to need nothing
let drawNotice = "";
let round = null; // aborts the requests in hand
let timer = 0;
let keeping = 0;
let failures = 0;

// --- state and fields

function state() {
  const found = { length: document.querySelector("[name=length]:checked").value };
  for (const name of FIELDS) found[name] = at(name).value;
  for (const name of RANGES) found[name] = Number(at(name).value);
  found.removed = cards.map((card) => [...card.removed]);
  return found;
}

function apply(found) {
  for (const name of [...FIELDS, ...RANGES]) {
    if (found[name] !== undefined) at(name).value = found[name];
  }
  const length = document.querySelector(`[name=length][value="${CSS.escape(found.length || "")}"]`);
  if (length) length.checked = true;
  say();
  grow();
}

function say() {
  const allowed = (value) => (value === "0" ? "never" : value === "100" ? "free" : `${value}%`);
  for (const name of ["painters", "styles"]) at(`${name}-said`).textContent = allowed(at(name).value);
  at("variety-said").textContent = `${at("variety").value}%`;
}

function grow() {
  const field = at("prompt");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

const phrases = (text) => text.split(",").map((phrase) => phrase.trim()).filter(Boolean);
const newSeed = () => { at("seed").value = crypto.getRandomValues(new Uint32Array(1))[0]; };

// The range says how far they may come; the server is told how firmly they are kept out.
function strength(allowed) {
  return allowed === 0 ? "never" : allowed === 100 ? "free" : (100 - allowed) / 100;
}

function request(found) {
  const body = {
    prompts: found.prompt, n: Number(found.n), seed: Number(found.seed) || 0, mode: found.mode,
    painters: strength(found.painters), styles: strength(found.styles),
    chunks: Number(found.chunks), variety: found.variety / 100,
  };
  if (found.length) body.length = found.length;
  if (found.negative.trim()) body.negative = found.negative;
  for (const name of ["prefer", "avoid"]) {
    if (phrases(found[name]).length) body[name] = phrases(found[name]);
  }
  if (forced === found.prompt) body.force = true;
  return body;
}

// --- improving

function later(milliseconds = PAUSE_MS) {
  clearTimeout(timer);
  timer = setTimeout(improve, milliseconds);
}

async function improve() {
  clearTimeout(timer);
  const found = state();
  kept.write({ ...found, locked: at("lock").getAttribute("aria-pressed") === "true" });
  round?.abort();
  if (!found.prompt.trim()) {
    show([], null);
    problem("");
    return;
  }
  const body = request(found);
  const text = JSON.stringify(body);
  if (text === shown) return note();
  round = new AbortController();
  const { signal } = round;
  at("results").setAttribute("aria-busy", "true");
  const began = performance.now();
  try {
    const { results } = await post("/v1/improve", body, signal);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const removed = pending;
    pending = [];
    show(results, text, removed);
    asked = found;
    failures = 0;
    problem("");
    at("state").textContent =
      `${results.length} ${results.length === 1 ? "variant" : "variants"} in ${seconds} s`;
    note();
    await explain(signal);
  } catch (error) {
    if (error.name !== "AbortError") failed(error);
  } finally {
    if (round?.signal === signal) at("results").setAttribute("aria-busy", "false");
  }
}

let pending = []; // additions that are out in the results to come, after a step back

async function explain(signal) {
  for (const card of cards) {
    const why = await post("/v1/reasons", { receipt: card.receipt }, signal);
    card.explain(why);
    at("own-tokens").textContent =
      `${why.source_tokens} CLIP ${why.source_tokens === 1 ? "token is" : "tokens are"} yours`;
  }
}

function show(results, text, removed = []) {
  cards = results.map((receipt, place) => new Card(receipt, {
    removed: removed[place] || [],
    changed: note,
    notice: () => drawNotice,
    force: () => { forced = at("prompt").value; improve(); },
  }));
  shown = text;
  at("results").replaceChildren(...cards.map((card) => card.root));
  at("empty").hidden = cards.length > 0;
  if (!cards.length) at("own-tokens").textContent = at("state").textContent = "";
}

function failed(error) {
  if (error instanceof Refused && (error.status === 0 || error.status === 429 || error.status === 503)) {
    const wait = error.retryAfter || RETRY_S[Math.min(failures, RETRY_S.length - 1)];
    failures += 1;
    problem(`${error.message} Trying again in ${wait} s.`);
    later(1000 * wait);
    return;
  }
  show([], null);
  at("empty").hidden = true;
  problem(error.message);
}

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

// --- steps and history

function note() {
  const found = state();
  kept.write({ ...found, locked: at("lock").getAttribute("aria-pressed") === "true" });
  steps.note(found);
  at("undo").disabled = !steps.canUndo;
  at("redo").disabled = !steps.canRedo;
  clearTimeout(keeping);
  if (cards.length) keeping = setTimeout(keep, KEEP_MS);
}

function keep() {
  clearTimeout(keeping);
  if (cards.length) {
    const { removed, ...entry } = asked;
    history.add(entry, cards.map((card) => card.edited.prompt));
  }
}

async function go(found) {
  if (!found) return;
  apply(found);
  if (JSON.stringify(request(state())) === shown) {
    await Promise.all(cards.map((card, place) => card.remove(found.removed?.[place] || [])))
      .catch((error) => problem(error.message));
    note();
  } else {
    pending = found.removed || [];
    improve();
  }
  at("undo").disabled = !steps.canUndo;
  at("redo").disabled = !steps.canRedo;
}

function listHistory() {
  const entries = history.search(at("search").value);
  at("entries").replaceChildren(...entries.map((entry) => {
    const item = document.createElement("li");
    const again = document.createElement("button");
    again.type = "button";
    const title = document.createElement("b");
    title.textContent = entry.state.prompt;
    const result = document.createElement("span");
    result.textContent = entry.prompts[0];
    const time = document.createElement("time");
    time.dateTime = new Date(entry.time).toISOString();
    time.textContent = new Date(entry.time).toLocaleString();
    again.append(title, result, time);
    again.addEventListener("click", () => {
      at("history").close();
      go({ ...entry.state, removed: [] });
    });
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "forget";
    forget.textContent = "Forget";
    forget.setAttribute("aria-label", `Forget ${entry.state.prompt}`);
    forget.addEventListener("click", () => forgotten(history.forget(entry.time)));
    item.append(again, forget);
    return item;
  }));
  if (!entries.length) {
    const none = document.createElement("li");
    none.textContent = at("search").value ? "Nothing like it." : "Nothing yet.";
    at("entries").append(none);
  }
}

let before = []; // what the last "Forget" took

function forgotten(entries) {
  before = entries;
  at("bring-back").hidden = false;
  listHistory();
  at("bring-back").focus();
}

// --- a picture's prompt

async function readPicture(file) {
  try {
    const body = await withoutPixels(file);
    const answer = await ask("/v1/picture-text", { method: "POST", body, type: "image/png" });
    showPicture(await answer.json());
  } catch (error) {
    problem(error.message);
  }
}

function showPicture({ prompt, negative, settings, receipt }) {
  const facts = [["Prompt", prompt], ["Negative prompt", negative]];
  if (receipt) {
    facts.push(["Improved from", receipt.source], ["By", receipt.model],
      ["Seed and variant", `${receipt.seed}, ${receipt.variant + 1}`]);
  }
  facts.push(...Object.entries(settings).filter(([name]) => !name.startsWith("promptlift ")));
  at("facts").replaceChildren(...facts.filter(([, text]) => text).flatMap(([name, text]) => {
    const term = document.createElement("dt");
    term.textContent = name;
    const value = document.createElement("dd");
    value.textContent = text;
    return [term, value];
  }));
  at("use").onclick = () => {
    at("found").close();
    go({ prompt, negative, removed: [] });
  };
  const made = receipt && receipt.mode !== "original";
  at("again").hidden = !made;
  at("again").onclick = () => {
    at("found").close();
    go(fromReceipt(receipt));
  };
  at("found").showModal();
}

/** The page's state from which a receipt comes again. */
function fromReceipt({ source, seed, variant, mode, negative, settings, checks }) {
  const allowed = (value) => (value === "never" ? 0 : value === "free" ? 100 : 100 - 100 * value);
  const n = [...at("n").options].map((one) => Number(one.value)).find((one) => one > variant);
  const removed = [];
  removed[variant] = checks.removed || [];
  return {
    prompt: source, seed: String(seed), n: String(n || variant + 1), mode, removed,
    negative: negative || "", length: settings.length || "", chunks: String(settings.chunks || 1),
    painters: allowed(settings.painters), styles: allowed(settings.styles),
    variety: 100 * (settings.variety || 0),
    prefer: (settings.prefer || []).join(", "), avoid: (settings.avoid || []).join(", "),
  };
}

// --- wiring

function dice() {
  newSeed();
  improve();
}

at("prompt").addEventListener("input", () => {
  grow();
  if (at("lock").getAttribute("aria-pressed") !== "true") newSeed();
  later();
});
for (const name of ["seed", "prefer", "avoid", "negative"]) at(name).addEventListener("input", () => later());
for (const name of RANGES) at(name).addEventListener("input", () => { say(); later(); });
for (const name of ["n", "mode", "chunks"]) at(name).addEventListener("change", () => improve());
for (const one of document.querySelectorAll("[name=length]")) one.addEventListener("change", () => improve());
at("options").addEventListener("submit", (event) => event.preventDefault());
at("dice").addEventListener("click", dice);
at("lock").addEventListener("click", () => {
  const locked = at("lock").getAttribute("aria-pressed") !== "true";
  at("lock").setAttribute("aria-pressed", String(locked));
  kept.write({ ...state(), locked });
});
at("undo").addEventListener("click", () => go(steps.undo()));
at("redo").addEventListener("click", () => go(steps.redo()));
at("show-history").addEventListener("click", () => {
  keep();
  at("search").value = "";
  listHistory();
  at("history").showModal();
});
at("search").addEventListener("input", listHistory);
at("forget").addEventListener("click", () => forgotten(history.forget()));
at("bring-back").addEventListener("click", () => {
  history.restore(before);
  at("bring-back").hidden = true;
  listHistory();
  at("search").focus();
});
for (const button of document.querySelectorAll(".shut")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
at("picture").addEventListener("change", () => {
  if (at("picture").files[0]) readPicture(at("picture").files[0]);
  at("picture").value = "";
});

const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  at("drop").hidden = false;
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").hidden = true; });
addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  at("drop").hidden = true;
  if (event.dataTransfer.files[0]) readPicture(event.dataTransfer.files[0]);
});
addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  const writing = event.target.matches?.("textarea, input:not([type=range], [type=radio])");
  if (control && event.key === "Enter") dice();
  else if (control && event.key.toLowerCase() === "z" && !writing) {
    event.preventDefault();
    go(event.shiftKey ? steps.redo() : steps.undo());
  }
});
addEventListener("online", () => improve());
addEventListener("pagehide", keep);

async function begin() {
  const before = kept.read();
  if (before) {
    apply(before);
    at("lock").setAttribute("aria-pressed", String(Boolean(before.locked)));
    pending = before.removed || [];
  } else {
    newSeed();
  }
  say();
  grow();
  if (at("prompt").value) improve();
  try {
    const { models } = await (await ask("/v1/models")).json();
    const draws = models.find((model) => model.kind === "illustrate");
    drawNotice = draws?.notice || "";
    const improver = models.find((model) => model.kind === "improve");
    for (const option of at("mode").options) option.disabled = !improver.modes.includes(option.value);
  } catch (error) {
    if (!at("prompt").value) failed(error);
  }
}

begin();
