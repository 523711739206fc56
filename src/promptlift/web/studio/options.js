// The fields that the user sets, the menus that the server fills, and the request made of them.

import { ask } from "/studio/api.js";
import { at } from "/studio/page.js";

export const MENUS = ["picture_model", "writer", "mode", "form"]; // each decides what the next ones offer
const FIELDS = ["prompt", "seed", "n", ...MENUS, "chunks", "style", "include", "avoid", "negative"];
const MOST_LETTERS = 200; // of a phrase, as the server has it
export const RANGES = ["artists", "styles", "diversity"];

// What Reset sets and a mark tells of, by what the mark says. The prompt, the seed and the two menus
// above the results stay.
const USUAL = {
  style: ["", "style"], length: ["", "length"], artists: [0, "artists"], styles: [0, "styles"], n: ["3", "variants"],
  mode: ["extend", "mode"], chunks: ["1", "room"], diversity: [0, "variants differ"],
  include: ["", "include"], avoid: ["", "never add"], negative: ["", "negative prompt"],
};
let pins = 0; // additions that are pinned
let forced = null; // a prompt that is improved though it seems to need nothing
export let models = null; // what the server says of its models; until then nothing is asked for

/** All that the user has set. */
export function fields() {
  const found = { length: document.querySelector("[name=length]:checked").value };
  for (const name of FIELDS) found[name] = at(name).value;
  for (const name of RANGES) found[name] = Number(at(name).value);
  found.force = forced !== null && forced === found.prompt;
  return found;
}

/** Options that are not as usual, in words. */
function unusual() {
  const found = fields();
  const names = Object.entries(USUAL)
    .filter(([name, [usual]]) => String(found[name]).trim() !== String(usual) && !isIdle(at(name)))
    .map(([, [, word]]) => word);
  if (models && found.form !== usualForm()) names.push("form");
  if (pins) names.push("pins");
  if (isLocked()) names.push("locked seed");
  return names;
}

/** Whether a field is not shown, so that what it says is the model's doing. */
const isIdle = (field) => Boolean(field?.parentElement.hidden);

/** How many additions are pinned, which Reset lets go too. */
export function countPins(count) {
  pins = count;
  say();
}

/** All options as they are at first; the prompt stays. */
export function reset() {
  apply({
    ...fields(), ...Object.fromEntries(Object.entries(USUAL).map(([name, [usual]]) => [name, usual])),
    form: models ? usualForm() : "tags", force: false,
  });
  lock(false);
}

/** Improve the prompt that stands there though it seems to need nothing. */
export function force() { forced = at("prompt").value; }

/** Set the fields as `given` has them; what it lacks stays. */
export function apply(given) {
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

/** The form that the writer takes for the picture model where none is named. */
const usualForm = () => writer().usual_forms[pictureModel().name];

/** Let what the writer has not learned, or the picture model does not read, not be chosen. */
function offer() {
  const { modes, forms, unasked } = writer();
  const { json_too, encoder } = pictureModel();
  for (const option of at("mode").options) option.disabled = !modes.includes(option.value);
  let count = 0;
  for (const option of at("form").options) {
    option.hidden = option.disabled = option.value === "json" ? !json_too : !forms.includes(option.value);
    count += !option.disabled;
  }
  at("form").parentElement.hidden = count < 2;
  at("mode").parentElement.hidden = modes.length < 2;
  for (const kind of ["artists", "styles"]) at(kind).parentElement.hidden = !unasked.includes(kind);
  at("chunks").parentElement.hidden = encoder !== "clip"; // others have one chunk
}

/** Another picture model or writer: the form is their usual one. */
export function suit() {
  offer();
  choose(at("mode"));
  at("form").value = usualForm();
  say();
}

/** Say what ranges, chips and the mark of the options say in words. */
export function say() {
  const allowed = (value) => (value === "0" ? "never" : value === "100" ? "free" : `${value}%`);
  for (const name of ["artists", "styles"]) at(`${name}-said`).textContent = allowed(at(name).value);
  at("diversity-said").textContent = `${at("diversity").value}%`;
  const style = at("style").value.trim().toLowerCase();
  for (const chip of document.querySelectorAll("[data-style]")) {
    chip.setAttribute("aria-pressed", String(chip.dataset.style === style));
  }
  const set = unusual().join(", ");
  at("set").textContent = set && `set: ${set}`;
  at("mark").hidden = !set;
}

export function grow() {
  const field = at("prompt");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

const phrases = (text) => text.split(",").map((phrase) => phrase.trim()).filter(Boolean);
export const isSeed = (text) => /^\d+$/.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER;

/** What the server would not take of the fields, in words, or ""; the fields are marked. */
export function mistake(found) {
  const isLong = (name) => phrases(found[name]).some((phrase) => [...phrase].length > MOST_LETTERS);
  const wrong = {
    seed: !isSeed(found.seed) && "The seed must be a whole number, 0 or more.",
    include: isLong("include") && `Include: a phrase may have ${MOST_LETTERS} characters.`,
    avoid: isLong("avoid") && `Never add: a phrase may have ${MOST_LETTERS} characters.`,
  };
  for (const [name, why] of Object.entries(wrong)) at(name).setAttribute("aria-invalid", String(Boolean(why)));
  return Object.values(wrong).find(Boolean) || "";
}
export const isLocked = () => at("lock").getAttribute("aria-pressed") === "true";
export function lock(on) {
  at("lock").setAttribute("aria-pressed", String(on));
  say();
}
export const anySeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
export const newSeed = () => { at("seed").value = anySeed(); };
// The range says how far they may come; the server is told how firmly they are kept out.
function strength(allowed) {
  return allowed === 0 ? "never" : allowed === 100 ? "free" : (100 - allowed) / 100;
}

export function request(found) {
  const body = {
    prompts: found.prompt, n: Number(found.n), seed: Number(found.seed), mode: found.mode,
    form: found.form, picture_model: found.picture_model,
    artists: strength(found.artists), styles: strength(found.styles),
    chunks: Number(found.chunks), diversity: found.diversity / 100,
  };
  if (found.writer) body.model = found.writer;
  if (found.length) body.length = found.length;
  if (found.style?.trim()) body.style = found.style.trim();
  if (found.negative.trim()) body.negative = found.negative;
  for (const name of ["include", "avoid"]) {
    if (phrases(found[name]).length) body[name] = phrases(found[name]);
  }
  if (found.force) body.force = true;
  return body;
}

/** What the results depend on, as text. */
export const textOf = (found) => JSON.stringify(request(found));

/** Ask the server what it has, and fill the menus. */
export async function readModels() {
  const said = await (await ask("/v1/models")).json();
  const drawn = said.models.find((one) => one.kind === "illustrate");
  const notice = drawn?.notice || ""; // of the pocket world, which draws shapes alone
  models = {
    pictures: said.picture_models,
    writers: said.models.filter((one) => one.kind === "improve"),
    drawing: drawn?.ready ? {
      label: notice ? "Draw shapes" : "Draw",
      name: notice ? "Draw shapes for both prompts" : "Draw both prompts",
      notice,
    } : null,
  };
  at("no-drawing").textContent = drawn?.note ? `Nothing can be drawn here: ${drawn.note}` : "";
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
