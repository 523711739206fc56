// Pictures of both prompts from the same noise: a job of the server, followed until it is done.

import { ask, post } from "/studio/api.js";

const EVERY_MS = 400;
const SMALL = 256; // pixels; smaller pictures are shown with sharp pixels

export class Drawing {
  #root;
  #job = null;
  #round = 0;
  #addresses = [];

  constructor(root) {
    this.#root = root;
    root.querySelector("[data-cancel]").addEventListener("click", () => this.cancel());
  }

  /** Draw a prompt as it was given and as it is now; again where it is drawing already. */
  async start(receipt, seed, notice) {
    await this.cancel();
    const round = ++this.#round;
    this.#clear();
    this.#root.hidden = false;
    this.#root.querySelector(".notice").textContent = notice || "";
    this.#progress(0);
    const prompts = [receipt.source, receipt.prompt];
    try {
      const job = await post("/v1/illustrate", {
        prompts, seed, negative: receipt.negative, receipts: [null, receipt],
      });
      if (round !== this.#round) {
        ask(`/v1/illustrate/${job.id}`, { method: "DELETE" }).catch(() => {});
        return;
      }
      this.#job = job.id;
      await this.#follow(job, round);
    } catch (error) {
      if (round === this.#round) this.#say(error.message);
    }
  }

  /** Give up what is being drawn; finished pictures stay. */
  async cancel() {
    this.#round += 1;
    const job = this.#job;
    this.#job = null;
    if (!job) return;
    this.#say("Cancelled.");
    await ask(`/v1/illustrate/${job}`, { method: "DELETE" }).catch(() => {});
  }

  async #follow(job, round) {
    let shown = 0;
    for (;;) {
      this.#progress(job.progress);
      while (shown < job.pictures.length) {
        await this.#show(job.pictures[shown], shown);
        shown += 1;
        if (round !== this.#round) return;
      }
      if (job.status === "done" || job.status === "failed" || job.status === "cancelled") break;
      await new Promise((done) => setTimeout(done, EVERY_MS));
      if (round !== this.#round) return;
      job = await (await ask(`/v1/illustrate/${job.id}`)).json();
      if (round !== this.#round) return;
    }
    this.#job = null;
    this.#say(job.error || (job.status === "cancelled" ? "Cancelled." : ""));
  }

  async #show(picture, place) {
    const file = await (await ask(picture.url)).blob();
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
    this.#root.querySelector(".pictures").append(figure);
  }

  #clear() {
    this.#root.querySelector(".pictures").replaceChildren();
    for (const address of this.#addresses.splice(0)) URL.revokeObjectURL(address);
  }

  #progress(value) {
    this.#root.querySelector(".progress").hidden = false;
    this.#root.querySelector("progress").value = value;
  }

  #say(text) {
    this.#root.querySelector(".progress").hidden = true;
    if (text) this.#root.querySelector(".notice").textContent = text;
  }
}
