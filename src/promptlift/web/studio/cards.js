// One improved prompt: its additions to take out, its tokens, its pictures, and texts to copy.

import { post } from "/studio/api.js";
import { Drawing } from "/studio/pictures.js";

const CAN_BE_FORCED = /^left alone: it (is detailed|looks like)/;
let count = 0; // for ids

export class Card {
  /**
   * `removed` are indices of additions that are out; of `page`, `changed` is called when the user
   * takes one out or in, `busy` says whether these results are about to be replaced, `say` takes
   * what is worth hearing, `fail` errors, `force` improves it anyway, and `notice` gives what
   * is said of pictures.
   */
  constructor(receipt, removed, page) {
    this.receipt = receipt;
    this.edited = receipt;
    const last = receipt.additions.length;
    this.removed = new Set([removed].flat().filter((one) => Number.isInteger(one) && one >= 0 && one < last));
    this.explained = false;
    this.page = page;
    const { max_prompt_tokens: limit, chunks, form } = receipt.settings;
    this.room = form === "paragraph" ? null : (limit || 75) * (chunks || 1);
    this.ownTokens = 0;
    this.turn = 0;
    this.editing = null;
    this.id = `card-${count += 1}`;
    this.root = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find("h2").textContent = `Variant ${receipt.variant + 1}`;
    this.find("h2").id = this.id;
    this.root.setAttribute("aria-labelledby", this.id);
    this.drawing = new Drawing(this.find(".drawing"));
    this.find("[data-draw]").addEventListener("click", () => this.draw());
    for (const button of this.root.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => this.copy(button));
    }
    this.#write();
    this.#notes();
    this.#measure();
    if (this.removed.size) this.#edit();
  }

  find(selector) { return this.root.querySelector(selector); }

  /** Set which additions are out. */
  remove(places) {
    this.removed = new Set(places);
    for (const chip of this.root.querySelectorAll(".chip")) this.#mark(chip);
    this.#edit();
  }

  /** Until `edited` and `copies` are of what is out now. */
  async settled() {
    if (!this.editing) this.#edit();
    await this.editing.catch(() => this.#edit());
  }

  /** Show why each addition was offered, and how many tokens are the user's own. */
  explain({ reasons, source_tokens }) {
    this.explained = true;
    this.ownTokens = source_tokens;
    this.#measure();
    const offered = this.receipt.additions.map((phrase, place) => {
      const [item, text] = entry(phrase, reasons[place] || "the model's own choice");
      text.id = `${this.id}-why-${place}`;
      return item;
    });
    const left = this.receipt.dropped.map(({ phrase, reason }) => {
      const [item] = entry(phrase, `left out: ${reason}`);
      item.className = "left-out";
      return item;
    });
    this.find(".why").replaceChildren(...offered, ...left);
    for (const chip of this.root.querySelectorAll(".chip")) {
      chip.setAttribute("aria-describedby", `${this.id}-why-${chip.dataset.place}`);
      chip.dataset.why = reasons[chip.dataset.place] || "";
    }
  }

  async copy(button) {
    try {
      await this.settled();
      await toClipboard(this.copies[button.dataset.copy]);
      this.page.say("Copied");
      button.dataset.label ||= button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
    } catch (error) {
      this.page.fail(error);
    }
  }

  async draw() {
    try {
      await this.settled();
      await this.drawing.start(this.edited, this.receipt.seed, await this.page.notice());
    } catch (error) {
      this.page.fail(error);
    }
  }

  /** The prompt, with each addition as a button where it stands. */
  #write() {
    const { prompt, additions, source } = this.receipt;
    const text = this.find(".text");
    let place = prompt.startsWith(source) ? source.length : 0; // the user may have said it too
    text.append(prompt.slice(0, place));
    additions.forEach((phrase, index) => {
      const start = prompt.indexOf(phrase, place);
      if (start < 0) return;
      const end = start + phrase.length;
      const comma = prompt[end] === "," ? "," : "";
      const whole = document.createElement("span"); // keeps the comma on the line of its phrase
      whole.append(this.#chip(phrase, index), comma);
      text.append(prompt.slice(place, start), whole);
      place = end + comma.length;
    });
    text.append(prompt.slice(place));
  }

  #chip(phrase, index) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    chip.textContent = phrase;
    chip.dataset.place = index;
    this.#mark(chip);
    chip.addEventListener("click", () => {
      if (this.page.busy()) return;
      if (!this.removed.delete(index)) this.removed.add(index);
      this.#mark(chip);
      this.#edit();
      this.page.changed();
    });
    const why = () => { this.find(".reason").textContent = chip.dataset.why || ""; };
    chip.addEventListener("pointerenter", why);
    chip.addEventListener("focus", why);
    return chip;
  }

  #mark(chip) {
    chip.setAttribute("aria-pressed", String(!this.removed.has(Number(chip.dataset.place))));
  }

  #edit() {
    const turn = this.turn += 1;
    this.editing = post("/v1/edit", { receipt: this.receipt, removed: [...this.removed] })
      .then((found) => {
        if (turn !== this.turn) return this.editing; // a later one is on its way
        this.edited = found.receipt;
        this.copies = found.copies;
        this.#measure();
        this.drawing.compare(this.edited.prompt);
        return null;
      });
    this.editing.catch(() => {}); // `settled` tries again
    return this.editing;
  }

  #measure() {
    const tokens = this.edited.clip_tokens;
    this.find(".meter").hidden = this.room === null; // a paragraph is bound by its own length
    this.find(".tokens").textContent = `${tokens} ${this.room ? `of ${this.room} ` : ""}CLIP tokens`;
    if (this.room === null) return;
    this.find(".meter").classList.toggle("over", tokens > this.room);
    const share = (part) => `${Math.min(100, (100 * part) / this.room)}%`;
    const own = Math.min(this.ownTokens, tokens);
    this.find(".meter i").style.width = share(own);
    this.find(".meter b").style.width = share(tokens - own);
  }

  #notes() {
    const notes = this.find(".notes");
    notes.textContent = this.receipt.notes.join("; ");
    if (!this.receipt.notes.some((note) => CAN_BE_FORCED.test(note))) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Improve it anyway";
    button.addEventListener("click", this.page.force);
    notes.append(" ", button);
  }
}

function entry(phrase, said) {
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = phrase;
  const text = document.createElement("span");
  text.textContent = said;
  item.append(name, " ", text);
  return [item, text];
}

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages of other hosts without TLS have no clipboard of that kind.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  const { activeElement } = document;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  activeElement?.focus({ preventScroll: true });
  if (!done) throw new Error("The browser does not let this page copy.");
}
