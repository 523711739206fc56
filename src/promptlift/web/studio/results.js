// The results on the page: asked for when something changes, shown as cards, and the way back.

import { Refused, post } from "/studio/api.js";
import { Card } from "/studio/cards.js";
import * as drawings from "/studio/drawings.js";
import { Steps, history, page } from "/studio/history.js";
import {
  MENUS, anySeed, apply, countPins, fields, force, grow, isLocked, lock, mistake, models, newSeed, readModels, request, reset, say, textOf,
} from "/studio/options.js";
import { at, fail, problem, tell } from "/studio/page.js";

const PAUSE_MS = 350; // of typing, before the prompt is improved
const KEEP_MS = 2000; // before a result enters the history
const RETRY_S = [1, 2, 4, 8];

const steps = new Steps();
let cards = [];
let pinned = []; // phrases that all variants have, those to come too
let shown = null; // the request whose results are shown, as text
let asked = null; // the state that it was made from
let coming = { text: null, removed: [] }; // additions that are out in results that are to come
let expected = null; // what a receipt says of the results to come
let round = null; // aborts the requests in hand
let timer = 0;
let keeping = 0;
let failures = 0;

/** All that the user has set; which additions are out belongs to the results of just that. */
export function state() {
  const found = fields();
  found.pinned = [...pinned];
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

export const save = () => models && page.write({ ...state(), locked: isLocked() });

// --- improving

export function later(milliseconds = PAUSE_MS) {
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

export async function improve() {
  if (!models) return null; // `begin` does, once it knows them
  stop();
  const found = state();
  save();
  const wrong = mistake(found);
  if (wrong) return problem(wrong);
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
    const removed = text === coming.text ? coming.removed : carried(results, found);
    asked = found;
    show(results, text, removed);
    coming = { text: null, removed: [] }; // from here on the cards know
    failures = 0;
    problem("");
    tell(`${cards.length} ${cards.length === 1 ? "variant" : "variants"} in ${seconds}\u00a0s`);
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

/** Reasons come after the results, and results stay where they do not come. */
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

const isLeftAlone = ({ notes }) => notes.some((note) => /^left (alone|as it is)/.test(note));

function show(results, text, removed = []) {
  const within = at("results").contains(document.activeElement);
  const page = {
    changed: note, fail, say: tell, pin, star, drawing: models.drawing,
    busy: () => at("results").getAttribute("aria-busy") === "true",
    force: () => { force(); improve(); },
    draw, edited: drawings.compare,
  };
  // Where the prompt is left alone all variants are the same.
  const different = results.length && results.every(isLeftAlone) ? results.slice(0, 1) : results;
  const stars = asked ? history.starred(asked) : [];
  cards = different.map((receipt, place) => (
    new Card(receipt, { removed: removed[place] || [], pinned, starred: stars.includes(place) }, page)
  ));
  shown = text;
  at("results").replaceChildren(...cards.map((card) => card.root));
  drawings.place(cards);
  if (within) at("results").focus({ preventScroll: true });
  at("empty").hidden = cards.length > 0;
  if (!cards.length) at("own-tokens").textContent = at("state").textContent = "";
}

/** Pin a phrase to all variants, or let it go. */
function pin(phrase) {
  const same = (one) => one.toLowerCase() === phrase.toLowerCase();
  setPins(pinned.some(same) ? pinned.filter((one) => !same(one)) : [...pinned, phrase]);
  note();
}

function setPins(phrases) {
  holdPins(phrases);
  for (const card of cards) card.set(card.removed, pinned);
}

function holdPins(phrases) {
  pinned = phrases;
  countPins(pinned.length);
}

function star(card) {
  keep(true);
  return history.star(asked, cards.indexOf(card));
}

async function draw(card) {
  keep(true); // the history shows what is drawn
  await drawings.draw(card, { ...asked, ...out() }, models.drawing.notice);
}

/** What is taken out of and pinned to the results that are shown. */
function out() {
  return { removed: tidy(cards.map((card) => [...card.removed])), pinned: [...pinned] };
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
  at("empty").hidden = true;
  problem(error.message);
}

// --- steps and history

function note() {
  save();
  steps.note(state());
  arrows();
  clearTimeout(keeping);
  if (cards.length) keeping = setTimeout(() => keep(), KEEP_MS);
}

function arrows() {
  const active = document.activeElement;
  at("undo").disabled = !steps.canUndo;
  at("redo").disabled = !steps.canRedo;
  if (active?.disabled) at("results").focus({ preventScroll: true });
}

export function keep(wanted = false) {
  clearTimeout(keeping);
  if (!cards.length) return;
  if (wanted) history.want(asked);
  history.add({ ...asked, ...out() }, cards.map((card) => card.edited.prompt));
}

/** Another state of the page; what is on it now can be had back. */
export async function go(found, receipt = null) {
  await begun;
  stop();
  steps.note(state());
  change(found, receipt);
}

export function step(back) {
  stop();
  steps.note(state()); // words that were not improved yet
  const found = back ? steps.undo() : steps.redo();
  if (found) change(found);
  else improve(); // what was in hand
}

const phrasesOf = (list) => (Array.isArray(list) ? list.filter((one) => typeof one === "string") : []);

function change(found, receipt = null) {
  apply(found);
  const text = textOf(state());
  expected = receipt && { text, variant: receipt.variant, prompt: receipt.prompt };
  coming = { text, removed: found.removed || [] };
  if (found.pinned !== undefined) holdPins(phrasesOf(found.pinned));
  if (text === shown) cards.forEach((card, place) => card.set(coming.removed[place] || [], pinned));
  arrows();
  improve();
}

/** The page is left. */
export function leave() {
  save();
  keep();
}

/** All options and pins as they are at first. */
export function startOver() {
  steps.note(state());
  reset();
  setPins([]);
  improve();
}

/** Improve a prompt that was not typed. */
export function take(prompt) {
  go({ prompt, seed: isLocked() ? at("seed").value : anySeed(), force: false, removed: [] });
}

export function dice() {
  newSeed();
  improve();
}

// --- the beginning

export let begun = null; // once the server has said what there is to choose from

export function begin() {
  begun = start();
}

/** Show the page as it was left; its menus once the server has said what there is to choose from. */
async function start() {
  const before = page.read();
  drawings.begin(go);
  if (before) {
    apply(before);
    holdPins(phrasesOf(before.pinned));
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
