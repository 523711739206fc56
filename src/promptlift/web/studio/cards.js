// One improved prompt: its additions to take out, its tokens, its pictures, and texts to copy.

import { post } from "/studio/api.js";
import { copyHtml, copyText } from "/studio/clipboard.js";
import { fieldText, nodesHtml } from "/studio/comfyui.js";
import { make } from "/studio/page.js";

const CAN_BE_FORCED = /^left alone: it (is detailed|looks like)/;
const ESTIMATED = / tokens are estimated: /; // "about" says it
const ENCODERS = { t5: "T5", mistral: "Mistral", qwen: "Qwen" };
let count = 0; // for ids

export class Card {
  /**
   * `removed` are indices of additions that are out, `pinned` the phrases that all variants have. Of
   * `page`, `changed` is called when the user takes an addition out or in, `pin` with a phrase to
   * pin or let go, `busy` says whether these results are about to be replaced, `say` takes what is
   * worth hearing, `fail` errors, `force` improves it anyway, `star` makes it a favourite or none,
   * `draw` draws it, and `edited` hears that its prompt has changed.
   */
  constructor(receipt, { removed, pinned, starred }, page) {
    this.receipt = receipt;
    this.edited = receipt;
    const last = receipt.additions.length;
    this.removed = new Set([removed].flat().filter((one) => Number.isInteger(one) && one >= 0 && one < last));
    this.pinned = pinned;
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
    const name = `Variant ${receipt.variant + 1}`;
    this.find("h2").textContent = name;
    this.find("h2").id = this.id;
    this.root.setAttribute("aria-labelledby", this.id);
    this.slot = this.find(".slot");
    this.#draws();
    const star = this.find(".star");
    star.setAttribute("aria-label", `${name} is a favourite`);
    star.setAttribute("aria-pressed", String(starred));
    star.addEventListener("click", () => star.setAttribute("aria-pressed", String(page.star(this))));
    for (const button of this.root.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => this.copy(button));
    }
    this.#write();
    this.#notes();
    this.#measure();
    this.#carry();
    if (this.removed.size || this.#carried.length) this.#edit();
  }

  find(selector) { return this.root.querySelector(selector); }

  /** Set which additions are out, and which are pinned. */
  set(places, pinned) {
    this.removed = new Set(places);
    this.pinned = pinned;
    this.#carry();
    for (const chip of this.root.querySelectorAll(".chip[data-place]")) this.#mark(chip);
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
      if (this.canPin) item.append(" ", this.#pinButton(phrase));
      return item;
    });
    const left = this.receipt.dropped.map(({ phrase, reason }) => {
      const [item] = entry(phrase, `left out: ${reason}`);
      item.className = "left-out";
      return item;
    });
    this.find(".why").replaceChildren(...offered, ...left);
    for (const chip of this.root.querySelectorAll(".chip[data-place]")) {
      chip.setAttribute("aria-describedby", `${this.id}-why-${chip.dataset.place}`);
      chip.dataset.why = reasons[chip.dataset.place] || "";
    }
  }

  async copy(button) {
    try {
      const [said, next = said] = await this.#copied(button.dataset.copy);
      this.page.say(next);
      button.dataset.label ||= button.textContent;
      button.textContent = said;
      setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
    } catch (error) {
      this.page.fail(error);
    }
  }

  /** Copy a text, or nodes with the text beside them; which it was, and what to do with it. */
  async #copied(kind) {
    const text = await this.#toCopy(kind);
    if (kind !== "comfyui") {
      await copyText(text);
      return ["Copied"];
    }
    const nodes = nodesHtml(text, this.receipt.negative);
    return await copyHtml(nodes, fieldText(text)) ? ["Copied", "Copied: press Ctrl+V on ComfyUI's canvas"]
      : ["Only text copied", "Only text copied: press Ctrl+V in a text field of ComfyUI"];
  }

  /** A text to copy; what is on the page can be copied though the server is gone. */
  async #toCopy(kind) {
    const isPlain = kind !== "a1111";
    if (isPlain && this.edited === this.receipt && !this.#isEdited) return this.receipt.prompt;
    try {
      await this.settled();
    } catch (error) {
      if (!isPlain || !error.passes || this.receipt.settings.form === "json") throw error;
      return this.#shownText();
    }
    return isPlain ? this.copies.plain : this.copies.a1111;
  }

  /** The text of the card without the additions that are out, and without their commas. */
  #shownText() {
    let text = "";
    let isAfterComma = false; // that went with its addition
    for (const node of this.find(".text").childNodes) {
      const isOut = node.firstChild?.ariaPressed === "false";
      if (!isOut) text += isAfterComma ? node.textContent.trimStart() : node.textContent;
      else if (!node.textContent.endsWith(",")) text = text.replace(/,?\s*$/, "");
      isAfterComma = isOut && node.textContent.endsWith(",");
    }
    return text;
  }

  /** The button that draws, where anything can be drawn. */
  #draws() {
    const button = this.find("[data-draw]");
    const { drawing } = this.page;
    button.hidden = !drawing;
    if (!drawing) return;
    button.textContent = drawing.label;
    button.setAttribute("aria-label", drawing.name);
    button.title = drawing.notice;
    button.addEventListener("click", async () => {
      try {
        await this.settled();
        if (this.root.isConnected) await this.page.draw(this);
      } catch (error) {
        this.page.fail(error);
      }
    });
  }

  get canPin() { return this.receipt.settings.form !== "json"; }

  get #isEdited() { return this.removed.size > 0 || this.#carried.length > 0; }

  /** What is pinned and not among this variant's own additions. */
  get #carried() {
    if (!this.canPin) return [];
    const own = this.receipt.additions.map((phrase) => phrase.toLowerCase());
    return this.pinned.filter((phrase) => !own.includes(phrase.toLowerCase()));
  }

  /** Show what is pinned: a mark at the variant's own, others after its text. */
  #carry() {
    for (const old of this.root.querySelectorAll(".carried")) old.remove();
    for (const phrase of this.#carried) {
      const chip = make("button", phrase, "chip");
      chip.type = "button";
      chip.title = "Pinned: a click lets it go";
      chip.setAttribute("aria-label", `${phrase}, pinned`);
      chip.addEventListener("click", () => this.page.pin(phrase));
      const whole = make("b", this.receipt.settings.form === "paragraph" ? " " : ", ", "carried");
      whole.append(chip);
      this.find(".text").append(whole);
    }
    const isPinned = (phrase) => this.pinned.some((one) => one.toLowerCase() === phrase.toLowerCase());
    for (const chip of this.root.querySelectorAll(".chip[data-place]")) {
      chip.classList.toggle("pinned", isPinned(chip.textContent));
    }
    for (const button of this.root.querySelectorAll("[data-pin]")) {
      button.setAttribute("aria-pressed", String(isPinned(button.dataset.pin)));
    }
  }

  #pinButton(phrase) {
    const button = make("button", "Pin");
    button.type = "button";
    button.dataset.pin = phrase;
    button.title = "Keep it in all variants, and in those to come";
    button.setAttribute("aria-label", `Pin ${phrase}`);
    button.setAttribute("aria-pressed", String(this.pinned.includes(phrase)));
    button.addEventListener("click", () => this.page.pin(phrase));
    return button;
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
    const why = () => {
      const isOut = this.removed.has(index);
      this.find(".reason").textContent = [isOut ? "Taken out; press again to put it back." : "", chip.dataset.why]
        .filter(Boolean).join(" ");
    };
    chip.addEventListener("click", () => {
      if (this.page.busy()) return;
      if (!this.removed.delete(index)) this.removed.add(index);
      this.#mark(chip);
      why();
      this.#edit();
      this.page.changed();
    });
    chip.addEventListener("pointerenter", why);
    chip.addEventListener("focus", why);
    return chip;
  }

  #mark(chip) {
    chip.setAttribute("aria-pressed", String(!this.removed.has(Number(chip.dataset.place))));
  }

  #edit() {
    const turn = this.turn += 1;
    const body = { receipt: this.receipt, removed: [...this.removed], pinned: this.#carried };
    this.editing = post("/v1/edit", body)
      .then((found) => {
        if (turn !== this.turn) return this.editing; // a later one is on its way
        this.edited = found.receipt;
        this.copies = found.copies;
        this.#measure();
        this.page.edited(this);
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
    notes.textContent = this.receipt.notes.filter((note) => !ESTIMATED.test(note)).join("; ");
    if (!this.receipt.notes.some((note) => CAN_BE_FORCED.test(note))) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Improve it anyway";
    button.addEventListener("click", this.page.force);
    notes.append(" ", button);
  }
}

function entry(phrase, said) {
  const item = make("li");
  const text = make("span", said);
  item.append(make("b", phrase), " ", text);
  return [item, text];
}
