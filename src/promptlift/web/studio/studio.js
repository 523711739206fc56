// The page's state, and what happens when it changes. Prompts are set as text, never as markup.

import { Refused, ask, post } from "/studio/api.js";
import { Card } from "/studio/cards.js";
import { Steps, history, page } from "/studio/history.js";
import { textsOf } from "/studio/texts.js";

const at = (id) => document.getElementById(id);
const PAUSE_MS = 350; // of typing, before the prompt is improved
const KEEP_MS = 2000; // before a result enters the history
const RETRY_S = [1, 2, 4, 8];
const MENUS = ["picture_model", "writer", "mode", "form"]; // each decides what the next ones offer
const FIELDS = ["prompt", "seed", "n", ...MENUS, "chunks", "include", "avoid", "negative"];
const RANGES = ["artists", "styles", "diversity"];

const steps = new Steps();
let cards = [];
let shown = null; // the request whose results are shown, as text
let asked = null; // the state that it was made from
let coming = { text: null, removed: [] }; // additions that are out in results that are to come
let expected = null; // what a receipt says of the results to come
let forced = null; // a prompt that is improved though it seems to need nothing
let round = null; // aborts the requests in hand
let timer = 0;
let keeping = 0;
let failures = 0;
let models = null; // what the server says of its models; until then nothing is asked for

// --- state and fields

/** All that the user has set; which additions are out belongs to the results of just that. */
function state() {
  const found = { length: document.querySelector("[name=length]:checked").value };
  for (const name of FIELDS) found[name] = at(name).value;
  for (const name of RANGES) found[name] = Number(at(name).value);
  found.force = forced !== null && forced === found.prompt;
  const text = textOf(found);
  if (text === shown) found.removed = tidy(cards.map((card) => [...card.removed]));
  else found.removed = text === coming.text ? tidy(coming.removed) : [];
  return found;
}

/** The same removals in the same form, however many results there are or are to come. */
function tidy(removed) {
  const all = Array.from(removed, (one) => one || []);
  while (all.length && !all.at(-1).length) all.pop();
  return all;
}

function apply(given) {
  // A state with a form but without a picture model is of a page that had no such menu.
  const found = given.form === undefined ? given : { picture_model: "", writer: "", ...given };
  for (const name of [...FIELDS, ...RANGES]) {
    if (found[name] === undefined || (!models && MENUS.includes(name))) continue;
    const field = at(name);
    field.value = found[name];
    if (["n", "chunks"].includes(name) && field.value !== String(found[name])) {
      field.add(new Option(found[name], found[name], false, true)); // such as nine variants
    }
    if (!MENUS.includes(name)) continue;
    offer();
    choose(field);
  }
  const length = document.querySelector(`[name=length][value="${CSS.escape(found.length || "")}"]`);
  if (length && found.length !== undefined) length.checked = true;
  if (found.force !== undefined) forced = found.force ? found.prompt : null;
  say();
  grow();
}

/** Of a menu whose value is not among its options, or switched off, the first that can be had. */
function choose(field) {
  if (field.selectedOptions[0] && !field.selectedOptions[0].disabled) return;
  const usual = field === at("form") ? usualForm() : null;
  const options = [...field.options].filter((one) => !one.disabled);
  (options.find((one) => one.value === usual) || options[0]).selected = true;
}

const writer = () => models.writers.find((one) => one.id === at("writer").value) || models.writers[0];
const pictureModel = () => models.pictures.find((one) => one.name === at("picture_model").value) || models.pictures[0];

/** The form that the picture model reads best, if the writer writes it. */
function usualForm() {
  const { form } = pictureModel();
  return form === "json" || writer().forms.includes(form) ? form : writer().defaults.form;
}

/** Let what the writer has not learned, or the picture model does not read, not be chosen. */
function offer() {
  const { modes, forms } = writer();
  const { json_too, encoder } = pictureModel();
  for (const option of at("mode").options) option.disabled = !modes.includes(option.value);
  let count = 0;
  for (const option of at("form").options) {
    option.hidden = option.disabled = option.value === "json" ? !json_too : !forms.includes(option.value);
    count += !option.disabled;
  }
  at("form").parentElement.hidden = count < 2;
  at("chunks").parentElement.hidden = encoder !== "clip"; // others have one chunk
}

/** Another picture model or writer: the form is what they have in common. */
function suit() {
  offer();
  choose(at("mode"));
  at("form").value = usualForm();
  improve();
}

function say() {
  const allowed = (value) => (value === "0" ? "never" : value === "100" ? "free" : `${value}%`);
  for (const name of ["artists", "styles"]) at(`${name}-said`).textContent = allowed(at(name).value);
  at("diversity-said").textContent = `${at("diversity").value}%`;
}

function grow() {
  const field = at("prompt");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

const phrases = (text) => text.split(",").map((phrase) => phrase.trim()).filter(Boolean);
const isSeed = (text) => /^\d+$/.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER;
const isLocked = () => at("lock").getAttribute("aria-pressed") === "true";
const lock = (on) => at("lock").setAttribute("aria-pressed", String(on));
const newSeed = () => { at("seed").value = crypto.getRandomValues(new Uint32Array(1))[0]; };
const save = () => models && page.write({ ...state(), locked: isLocked() });

// The range says how far they may come; the server is told how firmly they are kept out.
function strength(allowed) {
  return allowed === 0 ? "never" : allowed === 100 ? "free" : (100 - allowed) / 100;
}

function request(found) {
  const body = {
    prompts: found.prompt, n: Number(found.n), seed: Number(found.seed), mode: found.mode,
    form: found.form, picture_model: found.picture_model,
    artists: strength(found.artists), styles: strength(found.styles),
    chunks: Number(found.chunks), diversity: found.diversity / 100,
  };
  if (found.writer) body.model = found.writer;
  if (found.length) body.length = found.length;
  if (found.negative.trim()) body.negative = found.negative;
  for (const name of ["include", "avoid"]) {
    if (phrases(found[name]).length) body[name] = phrases(found[name]);
  }
  if (found.force) body.force = true;
  return body;
}

const textOf = (found) => JSON.stringify(request(found));

// --- improving

function later(milliseconds = PAUSE_MS) {
  clearTimeout(timer);
  timer = setTimeout(improve, milliseconds);
}

/** Nothing is asked for any more. */
function stop() {
  clearTimeout(timer);
  round?.abort();
  round = null;
  at("results").setAttribute("aria-busy", "false");
}

async function improve() {
  if (!models) return null; // `begin` does, once it knows them
  stop();
  const found = state();
  save();
  at("seed").setAttribute("aria-invalid", String(!isSeed(found.seed)));
  if (!isSeed(found.seed)) return problem("The seed must be a whole number, 0 or more.");
  if (!found.prompt.trim()) {
    show([], null);
    problem("");
    return note();
  }
  const text = textOf(found);
  round = new AbortController();
  const { signal } = round;
  if (text === shown) {
    problem("");
    note();
    await compare();
    return explain(signal);
  }
  at("results").setAttribute("aria-busy", "true");
  const began = performance.now();
  try {
    const { results } = await post("/v1/improve", request(found), signal);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    show(results, text, text === coming.text ? coming.removed : carried(results, found));
    coming = { text: null, removed: [] }; // from here on the cards know
    asked = found;
    failures = 0;
    problem("");
    tell(`${results.length} ${results.length === 1 ? "variant" : "variants"} in ${seconds} s`);
    note();
    at("results").setAttribute("aria-busy", "false");
    await compare();
  } catch (error) {
    if (error.name !== "AbortError") failed(error);
    return null;
  }
  return explain(signal);
}

/** What stays out where only the number of variants changed. */
function carried(results, found) {
  if (!asked || textOf({ ...asked, n: found.n }) !== textOf(found)) return [];
  return results.map(({ prompt }, place) => (cards[place]?.receipt.prompt === prompt ? [...cards[place].removed] : []));
}

/** Reasons come behind the results, and results stay where they do not come. */
async function explain(signal) {
  try {
    for (const card of cards.filter((one) => !one.explained)) {
      const why = await post("/v1/reasons", { receipt: card.receipt }, signal);
      card.explain(why);
      const yours = why.source_tokens === 1 ? "token is" : "tokens are";
      const about = card.receipt.checks.estimated ? "about " : "";
      at("own-tokens").textContent = `${about}${why.source_tokens} ${card.encoder} ${yours} yours`;
    }
  } catch (error) {
    if (error.passes) setTimeout(() => signal.aborted || explain(signal), 1000 * (error.retryAfter || 2));
  }
}

/** Say so where a receipt could not be made again. */
async function compare() {
  if (expected?.text !== shown) return;
  const { variant, prompt } = expected;
  expected = null;
  await cards[variant]?.settled();
  if (cards[variant]?.edited.prompt === prompt) return;
  problem(`It came out otherwise: by another model or version, or with options that this page does not have. The picture's prompt: ${prompt}`);
}

function show(results, text, removed = []) {
  const within = at("results").contains(document.activeElement);
  for (const card of cards) card.drawing.close();
  const page = {
    changed: note, fail, say: tell, notice: models.notice,
    busy: () => at("results").getAttribute("aria-busy") === "true",
    force: () => { forced = at("prompt").value; improve(); },
  };
  cards = results.map((receipt, place) => new Card(receipt, removed[place] || [], page));
  shown = text;
  at("results").replaceChildren(...cards.map((card) => card.root));
  if (within) at("results").focus({ preventScroll: true });
  at("empty").hidden = cards.length > 0;
  if (!cards.length) at("own-tokens").textContent = at("state").textContent = "";
}

function failed(error) {
  at("results").setAttribute("aria-busy", "false");
  if (error instanceof Refused && error.passes) {
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

function fail(error) { problem(error.message); }
function tell(text) { at("state").textContent = text; }

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function readModels() {
  const said = await (await ask("/v1/models")).json();
  models = {
    pictures: said.picture_models,
    writers: said.models.filter((one) => one.kind === "improve"),
    notice: said.models.find((one) => one.kind === "illustrate")?.notice || "",
  };
  at("picture_model").replaceChildren(...models.pictures.map(({ name, title }) => new Option(title, name)));
  const groups = new Map();
  models.writers.forEach(({ id, server }, place) => {
    const group = groups.get(server) || document.createElement("optgroup");
    group.label = server || "of the studio";
    group.append(new Option(id.replace(/@[^@]*$/, ""), place ? id : "")); // "": whichever it has
    groups.set(server, group);
  });
  at("writer").replaceChildren(...groups.values());
  at("writer").parentElement.hidden = models.writers.length < 2;
}

// --- steps and history

function note() {
  save();
  steps.note(state());
  arrows();
  clearTimeout(keeping);
  if (cards.length) keeping = setTimeout(keep, KEEP_MS);
}

function arrows() {
  const active = document.activeElement;
  at("undo").disabled = !steps.canUndo;
  at("redo").disabled = !steps.canRedo;
  if (active?.disabled) at("results").focus({ preventScroll: true });
}

function keep() {
  clearTimeout(keeping);
  if (!cards.length) return;
  const removed = cards.map((card) => [...card.removed]);
  history.add({ ...asked, removed }, cards.map((card) => card.edited.prompt));
}

/** Another state of the page; what is on it now can be had back. */
async function go(found, receipt = null) {
  await begun;
  stop();
  steps.note(state());
  change(found, receipt);
}

function step(back) {
  stop();
  steps.note(state()); // words that were not improved yet
  const found = back ? steps.undo() : steps.redo();
  if (found) change(found);
  else improve(); // what was in hand
}

function change(found, receipt = null) {
  apply(found);
  const text = textOf(state());
  expected = receipt && { text, variant: receipt.variant, prompt: receipt.prompt };
  coming = { text, removed: found.removed || [] };
  if (text === shown) cards.forEach((card, place) => card.remove(coming.removed[place] || []));
  arrows();
  improve();
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
      go(entry.state);
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
    none.textContent = at("search").value ? "Nothing found." : "Nothing yet.";
    at("entries").append(none);
  }
}

let before = []; // what there was before the last "Forget"

function forgotten(entries) {
  before = entries;
  at("bring-back").hidden = false;
  listHistory();
  at("bring-back").focus();
}

// --- a picture's prompt

async function readPicture(file) {
  try {
    const body = await textsOf(file);
    const answer = await ask("/v1/picture-text", { method: "POST", body, type: body.type });
    showPicture(await answer.json());
  } catch (error) {
    problem(error.message);
  }
}

function showPicture({ prompt, negative, settings, tool, notes, receipt }) {
  const facts = [["Prompt", prompt], ["Negative prompt", negative]];
  if (receipt) {
    facts.push(["Improved from", receipt.source], ["By", receipt.model],
      ["Seed and variant", `${receipt.seed}, ${receipt.variant + 1}`]);
  }
  facts.push(["Written by", receipt ? "" : tool], ["Note", notes.join("; ")]);
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
    go({ prompt, negative, force: false, removed: [] });
  };
  at("again").hidden = !receipt || ["original", "steer"].includes(receipt.mode); // nobody improved it
  at("again").onclick = async () => {
    at("found").close();
    await begun; // which models there are
    go(fromReceipt(receipt), receipt);
  };
  if (!at("found").open) at("found").showModal();
}

/** The page's state from which a receipt comes again, as far as the page has its options. */
function fromReceipt({ source, seed, variant, mode, model, negative, settings, checks }) {
  const allowed = (value, otherwise) => {
    if (value === "never" || value === "free") return value === "never" ? 0 : 100;
    return Number.isFinite(value) ? Math.round(100 - 100 * value) : otherwise;
  };
  const list = (value) => (Array.isArray(value) ? value.join(", ") : "");
  const n = [...at("n").options].map((one) => Number(one.value)).find((one) => one > variant);
  const removed = [];
  removed[variant] = checks.removed || [];
  return {
    prompt: source, seed: String(seed), n: String(n || variant + 1), mode, removed,
    form: settings.form || "tags",
    picture_model: settings.picture_model || models.pictures[0].name,
    writer: model === models.writers[0].id ? "" : model,
    negative: negative || "", length: settings.length || "", chunks: String(settings.chunks || 1),
    artists: allowed(settings.artists, 0), styles: allowed(settings.styles, 100),
    diversity: Math.round(100 * (settings.diversity || 0)), force: Boolean(settings.force),
    include: list(settings.include), avoid: list(settings.avoid),
  };
}

// --- wiring

function dice() {
  newSeed();
  improve();
}

at("prompt").addEventListener("input", () => {
  grow();
  if (!isLocked()) newSeed();
  later();
});
for (const name of ["seed", "include", "avoid", "negative"]) at(name).addEventListener("input", () => later());
at("seed").addEventListener("input", () => lock(isSeed(at("seed").value))); // it was typed to stay
for (const name of RANGES) at(name).addEventListener("input", () => { say(); later(); });
for (const name of ["picture_model", "writer"]) at(name).addEventListener("change", suit);
for (const name of ["n", "mode", "form", "chunks"]) at(name).addEventListener("change", () => improve());
for (const one of document.querySelectorAll("[name=length]")) one.addEventListener("change", () => improve());
at("options").addEventListener("submit", (event) => event.preventDefault());
at("dice").addEventListener("click", dice);
at("lock").addEventListener("click", () => {
  lock(!isLocked());
  save();
});
at("undo").addEventListener("click", () => step(true));
at("redo").addEventListener("click", () => step(false));
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
  if (document.querySelector("dialog[open]")) return;
  const writing = event.target.matches?.("textarea, input:not([type=range], [type=radio])");
  if (control && event.key === "Enter") dice();
  else if (control && event.key.toLowerCase() === "z" && !writing) {
    event.preventDefault();
    step(!event.shiftKey);
  }
});
addEventListener("online", () => improve());
addEventListener("pagehide", () => {
  save();
  keep();
  for (const card of cards) card.drawing.close();
});

/** Show the page as it was left; its menus once the server has said what there is to choose from. */
async function begin() {
  const before = page.read();
  if (before) {
    apply(before);
    lock(Boolean(before.locked));
  } else {
    newSeed();
  }
  say();
  grow();
  while (!models) {
    try {
      await readModels();
      problem("");
    } catch (error) {
      problem(error.message);
      await new Promise((done) => { setTimeout(done, 1000 * (error.retryAfter || RETRY_S[1])); });
    }
  }
  apply(Object.fromEntries(MENUS.map((name) => [name, before?.[name] || ""])));
  if (before && at("prompt").value === before.prompt) { // nothing was typed meanwhile
    coming = { text: textOf(state()), removed: before.removed || [] };
    history.leave(state());
  }
  if (at("prompt").value) improve();
}

const begun = begin();
