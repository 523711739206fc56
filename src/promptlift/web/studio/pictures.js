// Pictures of both prompts from the same noise, and of places on the way from one to the other: jobs
// of the server, followed until they are done.

import { ask, post } from "/studio/api.js";

const EVERY_MS = 400;
const SETTLE_MS = 250; // after the last key of several
const MOST_FAILURES = 20; // polls one after another
const SMALL = 256; // pixels; smaller pictures are shown with sharp pixels
const ENDED = new Set(["done", "failed", "cancelled"]);
const WHOLE = 100; // percent of the improvement

const drop = (id) => ask(`/v1/illustrate/${id}`, { method: "DELETE" }).catch(() => {});

export class Drawing {
  #root;
  #job = null;
  #round = 0;
  #timer = 0;
  #asked = null; // the receipt, seed and notice of what is or was drawn
  #kept = new Map(); // pictures by their percent of the improvement
  #shown = WHOLE;

  constructor(root) {
    this.#root = root;
    this.#find("[data-cancel]").addEventListener("click", () => {
      this.cancel();
      this.#find(".notice").focus(); // the button is gone
    });
    this.#slider.addEventListener("input", () => this.#say());
    this.#slider.addEventListener("change", () => this.#move());
  }

  /** Draw a prompt as it was given and as it is now; again where it is drawing already. */
  async start(receipt, seed, notice) {
    if (!this.#root.isConnected) return; // its card was replaced meanwhile
    this.close();
    this.#root.hidden = false;
    this.#asked = { receipt, seed, notice };
    this.compare(receipt.prompt);
    const job = await this.#draw({}, [0, WHOLE]);
    const isWay = job?.embeddings && job.status === "done" && receipt.source !== receipt.prompt;
    if (isWay) this.#find(".strength").hidden = false;
  }

  /** Give up what is being drawn; finished pictures stay. */
  cancel() {
    this.#leave();
    this.#end("Cancelled.");
  }

  /** Give up what is being drawn, and let go of all pictures. */
  close() {
    this.#leave();
    this.#root.hidden = this.#find(".strength").hidden = true;
    this.#find(".pictures").replaceChildren();
    for (const { address } of this.#kept.values()) URL.revokeObjectURL(address);
    this.#kept.clear();
    this.#shown = WHOLE;
    this.#set(WHOLE);
  }

  /** Say so where the pictures are of another prompt than this one. */
  compare(prompt) {
    this.#find(".stale").hidden = this.#asked === null || this.#asked.receipt.prompt === prompt;
  }

  /** Show the picture where the slider is, drawn if it was not yet. */
  #move() {
    const percent = Number(this.#slider.value);
    this.#leave();
    if (this.#kept.has(percent)) this.#show(percent);
    else this.#timer = setTimeout(() => this.#draw({ shares: [percent / WHOLE] }, [percent]), SETTLE_MS);
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#round += 1;
    if (this.#job) drop(this.#job);
    this.#job = null;
    this.#end("");
  }

  /** Draw, and show what is done; the job at its end, or null where it was left or failed. */
  async #draw(more, percents) {
    const round = this.#round;
    const { receipt, seed, notice } = this.#asked;
    this.#find(".notice").textContent = notice;
    this.#progress(0);
    try {
      const job = await post("/v1/illustrate", {
        prompts: [receipt.source, receipt.prompt], seed, negative: receipt.negative,
        receipts: [null, receipt], ...more,
      });
      if (round !== this.#round) {
        drop(job.id);
        return null;
      }
      this.#job = job.id;
      return await this.#follow(job, round, percents);
    } catch (error) {
      if (round === this.#round) this.#end(error.message);
      return null;
    }
  }

  async #follow(job, round, percents) {
    let shown = 0;
    let failures = 0;
    for (;;) {
      this.#progress(job.progress);
      for (; shown < job.pictures.length; shown += 1) {
        const picture = job.pictures[shown];
        const file = await (await ask(picture.url)).blob();
        if (round !== this.#round) return null;
        this.#kept.set(percents[shown], { ...picture, address: URL.createObjectURL(file) });
        this.#show(percents[shown]);
      }
      if (ENDED.has(job.status)) break;
      await new Promise((done) => setTimeout(done, EVERY_MS));
      if (round !== this.#round) return null; // it is no longer there
      try {
        job = await (await ask(`/v1/illustrate/${job.id}`)).json();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!error.passes || failures > MOST_FAILURES) throw error;
      }
      if (round !== this.#round) return null;
    }
    this.#job = null;
    this.#end(job.error || "");
    return job;
  }

  /** Show a picture that is there: the first on the left, any other in the place on the right. */
  #show(percent) {
    const { address, prompt, seed, width } = this.#kept.get(percent);
    const figures = this.#find(".pictures");
    const place = Math.min(figures.children.length, 1);
    if (place) this.#shown = percent;
    const name = !place ? "your prompt" : percent === WHOLE ? "improved" : `${percent}% of the way`;
    const about = !place ? "your prompt" : percent === WHOLE ? "the improved prompt"
      : `what lies ${percent}% of the way from your prompt to the improved one`;
    const end = { 0: "original", [WHOLE]: "improved" }[percent] || `${percent}-percent`;
    const figure = figures.children[place] || figures.appendChild(newFigure());
    const image = figure.querySelector("img");
    image.src = address;
    image.alt = `Picture of ${about}: ${prompt}`;
    image.classList.toggle("small", width < SMALL);
    const link = figure.querySelector("a");
    link.href = address;
    link.download = `promptlift-${seed}-${end}.png`;
    link.setAttribute("aria-label", `Save the picture of ${about}`);
    figure.querySelector("span").textContent = name;
  }

  get #slider() { return this.#find(".strength input"); }

  #set(percent) {
    this.#slider.value = percent;
    this.#say();
  }

  #say() {
    const { value } = this.#slider;
    this.#slider.setAttribute("aria-valuetext", `${value}% of the way`);
    this.#find(".strength span").textContent = `${value}%`;
  }

  #find(selector) { return this.#root.querySelector(selector); }

  #progress(value) {
    this.#find(".progress").hidden = false;
    this.#find("progress").value = value;
  }

  /** Nothing is drawn any more; `text` says why where that was not to be. */
  #end(text) {
    this.#find(".progress").hidden = true;
    if (!text) return;
    this.#find(".notice").textContent = text;
    this.#set(this.#shown);
  }
}

function newFigure() {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const link = document.createElement("a");
  link.textContent = "Save";
  caption.append(document.createElement("span"), " ", link);
  figure.append(new Image(), caption);
  return figure;
}
