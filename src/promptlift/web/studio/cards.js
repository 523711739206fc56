// One improved prompt: its additions to take out, its tokens, its pictures, and texts to copy.

import { post } from "/studio/api.js";
import { Drawing } from "/studio/pictures.js";

let count = 0; // for ids

export class Card {
  /** `removed` are indices of additions; `changed` is called when the user changes them. */
  constructor(receipt, { removed = [], changed, notice, force }) {
    this.receipt = receipt;
    this.edited = receipt;
    this.removed = new Set(removed);
    this.copies = null;
    this.room = (receipt.settings.budget || 75) * (receipt.settings.chunks || 1);
    this.ownTokens = 0;
    this.changed = changed;
    this.force = force;
    this.id = `card-${count += 1}`;
    this.root = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find("h2").textContent = `Variant ${receipt.variant + 1}`;
    this.find("h2").id = this.id;
    this.root.setAttribute("aria-labelledby", this.id);
    this.drawing = new Drawing(this.find(".drawing"));
    this.find("[data-draw]").addEventListener("click", () => {
      this.drawing.start(this.edited, receipt.seed, notice());
    });
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
    return this.#edit();
  }

  /** Show why each addition was offered, and how many tokens are the user's own. */
  explain({ reasons, source_tokens }) {
    this.ownTokens = source_tokens;
    this.#measure();
    const list = this.find(".why");
    list.replaceChildren(...this.receipt.additions.map((phrase, place) => {
      const item = document.createElement("li");
      const name = document.createElement("b");
      name.textContent = phrase;
      const text = document.createElement("span");
      text.id = `${this.id}-why-${place}`;
      text.textContent = reasons[place] || "the model's own choice";
      item.append(name, " ", text);
      return item;
    }));
    for (const chip of this.root.querySelectorAll(".chip")) {
      chip.setAttribute("aria-describedby", `${this.id}-why-${chip.dataset.place}`);
      chip.dataset.why = reasons[chip.dataset.place] || "";
    }
    for (const { phrase, reason } of this.receipt.dropped) {
      const item = document.createElement("li");
      item.className = "left-out";
      const name = document.createElement("b");
      name.textContent = phrase;
      item.append(name, ` left out: ${reason}`);
      list.append(item);
    }
  }

  async copy(button) {
    const form = button.dataset.copy;
    try {
      if (!this.copies) await this.#edit();
      await toClipboard(this.copies[form]);
      this.#flash(button, "Copied");
    } catch (error) {
      this.#flash(button, "Not copied");
      this.find(".reason").textContent = error.message;
    }
  }

  #flash(button, text) {
    button.dataset.label ||= button.textContent;
    button.textContent = text;
    setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
  }

  /** The prompt, with each addition as a button where it stands. */
  #write() {
    const { prompt, additions } = this.receipt;
    const text = this.find(".text");
    let place = 0;
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
      if (!this.removed.delete(index)) this.removed.add(index);
      this.#mark(chip);
      this.changed();
      this.#edit().catch((error) => { this.find(".reason").textContent = error.message; });
    });
    const why = () => { this.find(".reason").textContent = chip.dataset.why || ""; };
    chip.addEventListener("pointerenter", why);
    chip.addEventListener("focus", why);
    return chip;
  }

  #mark(chip) {
    chip.setAttribute("aria-pressed", String(!this.removed.has(Number(chip.dataset.place))));
  }

  async #edit() {
    const removed = [...this.removed];
    const found = await post("/v1/edit", { receipt: this.receipt, removed });
    if (removed.join() !== [...this.removed].join()) return; // changed again meanwhile
    this.edited = found.receipt;
    this.copies = found.copies;
    this.#measure();
  }

  #measure() {
    const tokens = this.edited.clip_tokens;
    this.find(".tokens").textContent = `${tokens} of ${this.room} CLIP tokens`;
    this.find(".meter").classList.toggle("over", tokens > this.room);
    const share = (part) => `${Math.min(100, (100 * part) / this.room)}%`;
    const own = Math.min(this.ownTokens, tokens);
    this.find(".meter i").style.width = share(own);
    this.find(".meter b").style.width = share(tokens - own);
  }

  #notes() {
    const notes = this.find(".notes");
    notes.textContent = this.receipt.notes.join("; ");
    const left = this.receipt.notes.some((note) => /^left alone: it (is detailed|looks like)/.test(note));
    if (!left) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Improve it all the same";
    button.addEventListener("click", this.force);
    notes.append(" ", button);
  }
}

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages of other hosts without TLS have no clipboard of that kind.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("The browser does not let this page copy.");
}
