// Pictures of both prompts from the same noise: a job of the server, followed until it is done.

import { ask, post } from "/studio/api.js";

const EVERY_MS = 400;
const MOST_FAILURES = 20; // polls one after another
const SMALL = 256; // pixels; smaller pictures are shown with sharp pixels
const ENDED = new Set(["done", "failed", "cancelled"]);

const drop = (id) => ask(`/v1/illustrate/${id}`, { method: "DELETE" }).catch(() => {});

export class Drawing {
  #root;
  #job = null;
  #round = 0;
  #addresses = [];
  #prompt = null; // that is or was drawn as the improved one

  constructor(root) {
    this.#root = root;
    this.#find("[data-cancel]").addEventListener("click", () => {
      this.cancel();
      this.#find(".notice").focus(); // the button is gone
    });
  }

  /** Draw a prompt as it was given and as it is now; again where it is drawing already. */
  async start(receipt, seed, notice) {
    if (!this.#root.isConnected) return; // its card was replaced meanwhile
    this.close();
    const round = this.#round;
    this.#root.hidden = false;
    this.#prompt = receipt.prompt;
    this.compare(receipt.prompt);
    this.#find(".notice").textContent = notice;
    this.#progress(0);
    try {
      const job = await post("/v1/illustrate", {
        prompts: [receipt.source, receipt.prompt], seed, negative: receipt.negative,
        receipts: [null, receipt],
      });
      if (round !== this.#round) {
        drop(job.id);
        return;
      }
      this.#job = job.id;
      await this.#follow(job, round);
    } catch (error) {
      if (round === this.#round) this.#end(error.message);
    }
  }

  /** Give up what is being drawn; finished pictures stay. */
  cancel() {
    this.#round += 1;
    if (this.#job) drop(this.#job);
    this.#job = null;
    this.#end("Cancelled.");
  }

  /** Give up what is being drawn, and let go of all pictures. */
  close() {
    this.cancel();
    this.#root.hidden = true;
    this.#find(".pictures").replaceChildren();
    for (const address of this.#addresses.splice(0)) URL.revokeObjectURL(address);
  }

  /** Say so where the pictures are of another prompt than this one. */
  compare(prompt) {
    this.#find(".stale").hidden = this.#prompt === null || this.#prompt === prompt;
  }

  async #follow(job, round) {
    let shown = 0;
    let failures = 0;
    for (;;) {
      this.#progress(job.progress);
      for (; shown < job.pictures.length; shown += 1) {
        await this.#show(job.pictures[shown], shown, round);
        if (round !== this.#round) return;
      }
      if (ENDED.has(job.status)) break;
      await new Promise((done) => setTimeout(done, EVERY_MS));
      try {
        job = await (await ask(`/v1/illustrate/${job.id}`)).json();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!error.passes || failures > MOST_FAILURES) throw error;
      }
      if (round !== this.#round) return;
    }
    this.#job = null;
    this.#end(job.error || "");
  }

  async #show(picture, place, round) {
    const file = await (await ask(picture.url)).blob();
    if (round !== this.#round) return;
    const address = URL.createObjectURL(file);
    this.#addresses.push(address);
    const name = place ? "improved" : "your prompt";
    const figure = document.createElement("figure");
    const image = new Image();
    image.src = address;
    image.alt = `Picture of ${place ? "the improved prompt" : "your prompt"}: ${picture.prompt}`;
    if (picture.width < SMALL) image.className = "small";
    const caption = document.createElement("figcaption");
    const link = document.createElement("a");
    link.href = address;
    link.download = `promptlift-${picture.seed}-${place ? "improved" : "original"}.png`;
    link.textContent = "Save";
    link.setAttribute("aria-label", `Save the picture of ${name}`);
    caption.append(`${name} `, link);
    figure.append(image, caption);
    this.#find(".pictures").append(figure);
  }

  #find(selector) { return this.#root.querySelector(selector); }

  #progress(value) {
    this.#find(".progress").hidden = false;
    this.#find("progress").value = value;
  }

  #end(text) {
    this.#find(".progress").hidden = true;
    if (text) this.#find(".notice").textContent = text;
  }
}
