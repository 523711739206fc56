// All drawings of the page: with the card that they belong to, or among the earlier ones below the
// results. They outlast the results they were drawn from, and a page that is loaded anew.

import { history, session } from "/studio/history.js";
import { openLarge } from "/studio/large.js";
import { at, fail } from "/studio/page.js";
import { WHOLE, Drawing } from "/studio/pictures.js";

const KEY = "promptlift.drawings";
const MOST = 8; // the server keeps the pictures of some jobs only
const THUMB = 96; // pixels

let drawings = []; // the latest first
let cards = [];
let goBack = () => {}; // shows a state again

/** `again` is called with the state of a drawing whose prompt is wanted back. */
export function begin(again) {
  goBack = again;
  const records = session.read(KEY, []);
  if (Array.isArray(records)) records.reverse().forEach(restore);
}

/** Draw a card's prompt as it stands. */
export async function draw(card, state, notice) {
  const of = { receipt: card.edited, base: card.receipt.prompt, seed: card.receipt.seed, state };
  const before = drawings.find((one) => one.root.parentElement === card.slot);
  let drawing = before;
  if (before?.of.receipt.prompt !== of.receipt.prompt) {
    drawing = add(of);
    place(cards);
  }
  if (drawing.root.parentElement) await drawing.start(notice);
}

/** Whether a drawing is of a card's receipt: whatever decides what is drawn is the same. */
function isOf({ of }, { source, prompt, seed, negative }) {
  return of.receipt.source === source && of.base === prompt && of.seed === seed && of.receipt.negative === negative;
}

/** Put each drawing with its card, the latest where a card has several, and all others below. */
export function place(now) {
  cards = now;
  const taken = new Set();
  const others = [];
  for (const one of drawings) {
    const card = cards.find(({ receipt }) => isOf(one, receipt));
    if (card && !taken.has(card)) {
      taken.add(card);
      if (one.root.parentElement !== card.slot) card.slot.replaceChildren(one.root);
      one.compare(card.edited.prompt);
    } else {
      others.push(one.root);
      one.compare(null);
    }
  }
  at("shelf").replaceChildren(...others);
  at("earlier").hidden = others.length === 0;
}

/** A card's prompt has changed: say so at its pictures. */
export function compare(card) {
  drawings.find((one) => one.root.parentElement === card.slot)?.compare(card.edited.prompt);
}

function add(of) {
  const drawing = new Drawing(of, {
    changed: () => keep(drawing),
    open: (one, percent) => openLarge(drawings, one, percent),
    again: (one) => goBack(one.of.state),
    remove,
  });
  drawings.unshift(drawing);
  for (const old of drawings.slice(MOST)) remove(old);
  return drawing;
}

function remove(drawing) {
  const had = drawing.root.contains(document.activeElement);
  drawing.close();
  drawing.root.remove();
  drawings = drawings.filter((one) => one !== drawing);
  at("earlier").hidden = at("shelf").children.length === 0;
  if (had) at("results").focus({ preventScroll: true });
  save();
}

async function restore(record) {
  if (!record?.of?.receipt?.prompt) return;
  const drawing = add(record.of);
  place(cards);
  if (!await drawing.restore(record).catch(fail)) remove(drawing);
}

function save() {
  session.write(KEY, drawings.map((one) => one.record));
}

/** Keep a drawing for a page that is loaded anew, and a small picture of it in the history. */
async function keep(drawing) {
  if (!drawings.includes(drawing)) return;
  save();
  const picture = drawing.kept.get(WHOLE);
  if (!picture || drawing.thumbOf === picture.address) return;
  drawing.thumbOf = picture.address;
  const image = new Image();
  image.src = picture.address;
  try {
    await image.decode();
  } catch {
    return; // it was closed meanwhile
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMB;
  const scale = Math.max(THUMB / image.width, THUMB / image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  canvas.getContext("2d").drawImage(image, (THUMB - width) / 2, (THUMB - height) / 2, width, height);
  history.illustrate(drawing.of.state, canvas.toDataURL("image/webp", 0.8));
}
