// One improved prompt: its additions to take out, its tokens, its pictures, and texts to copy.

import { post } from "/studio/api.js";
import { Drawing } from "/studio/pictures.js";

const CAN_BE_FORCED = /^left alone: it (is detailed|looks like)/;
const ENCODERS = { t5: "T5", mistral: "Mistral", qwen: "Qwen" };
let count = 0; // for ids

export class Card {
  /**
   * `removed` are indices of additions that are out; of `page`, `changed` is called when the user
   * takes one out or in, `busy` says whether these results are about to be replaced, `say` takes
   * what is worth hearing, `fail` errors, `force` improves it anyway, and `notice` is what
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
    const ofClip = form === "paragraph" ? null : (limit || 75) * (chunks || 1);
    this.room = receipt.checks.encoder_limit === undefined ? ofClip : receipt.checks.encoder_limit;
    this.encoder = ENCODERS[receipt.checks.encoder] || "CLIP";
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
      // What is on the page can be copied though the server is gone.
      const isShown = button.dataset.copy === "plain" && !this.removed.size;
      if (!isShown) await this.settled();
      await toClipboard(isShown ? this.receipt.prompt : this.copies[button.dataset.copy]);
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
      await this.drawing.start(this.edited, this.receipt.seed, this.page.notice);
    } catch (error) {
      this.page.fail(error);
    }
  }

  /** The prompt, with each addition as a button where it stands. */
  #write() {
    const { prompt, additions, source, settings } = this.receipt;
    const text = this.find(".text");
    if (settings.form === "json" && this.#writeObject(text)) return;
    const own = Math.max(0, prompt.indexOf(source)); // after quality tags
    let place = prompt.startsWith(source, own) ? own + source.length : 0; // the user may have said it too
    text.append(prompt.slice(0, place));
    additions.forEach((phrase, index) => {
      const start = prompt.indexOf(phrase, place);
      if (start < 0) return;
      const [whole, end] = this.#whole(index, prompt, start + phrase.length);
      text.append(prompt.slice(place, start), whole);
      place = end;
    });
    text.append(prompt.slice(place));
  }

  /** The prompt as JSON with a line for each field; false where it is none. */
  #writeObject(text) {
    let lines;
    try {
      lines = JSON.stringify(JSON.parse(this.receipt.prompt), null, 2).split("\n");
    } catch {
      return false;
    }
    text.classList.add("json");
    const left = new Map(this.receipt.additions.map((phrase, index) => [index, JSON.stringify(phrase).slice(1, -1)]));
    lines.forEach((line, number) => {
      const key = line.match(/^ *(?:"\w+": )?/)[0];
      let rest = line.slice(key.length);
      const row = document.createElement("span");
      const indent = `${line.search(/\S/) + 2}ch`; // what does not fit on the line stands below it
      row.style.paddingLeft = indent;
      row.style.textIndent = `-${indent}`;
      row.append(key);
      while (number > 1) { // the first field is the user's prompt
        const found = [...left].map(([index, phrase]) => ({ index, phrase, start: rest.indexOf(phrase) }))
          .filter(({ start }) => start >= 0).sort((a, b) => a.start - b.start || b.phrase.length - a.phrase.length)[0];
        if (!found) break;
        const [whole, end] = this.#whole(found.index, rest, found.start + found.phrase.length);
        row.append(rest.slice(0, found.start), whole);
        rest = rest.slice(end);
        left.delete(found.index);
      }
      row.append(rest, "\n");
      text.append(row);
    });
    return true;
  }

  /** An addition as a button, with the comma that follows it in a text; and where both end. */
  #whole(index, text, end) {
    const comma = text[end] === "," ? "," : "";
    const whole = document.createElement("span"); // keeps the comma on the line of its phrase
    whole.append(this.#chip(this.receipt.additions[index], index), comma);
    return [whole, end + comma.length];
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
    const { encoder_tokens: counted, estimated } = this.edited.checks;
    const tokens = counted ?? this.edited.clip_tokens;
    this.find(".meter").hidden = this.room === null; // a paragraph is bound by its own length
    this.find(".tokens").textContent =
      `${estimated ? "about " : ""}${tokens} ${this.room ? `of ${this.room} ` : ""}${this.encoder} tokens`;
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
