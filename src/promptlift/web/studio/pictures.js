// Pictures of both prompts from the same noise, and of places on the way from one to the other: jobs
// of the server, followed until they are done, also after the page was loaded anew.

import { Refused, ask, post } from "/studio/api.js";
import { make } from "/studio/page.js";

const EVERY_MS = 400;
const SETTLE_MS = 250; // after the last key of several
const MOST_FAILURES = 20; // polls one after another
const AGAIN_MS = 2000; // where the server did not say when to ask again
const SMALL = 256; // pixels; smaller pictures are shown with sharp pixels
const ENDED = new Set(["done", "failed", "cancelled"]);
export const WHOLE = 100; // percent of the improvement

const drop = (id) => ask(`/v1/illustrate/${id}`, { method: "DELETE" }).catch(() => {});

/** What a picture is of, in few words. */
export function nameOf(percent) {
  return { 0: "your prompt", [WHOLE]: "improved" }[percent] || `${percent}% of the way`;
}

export class Drawing {
  #job = null; // `{id, percents}` of what is being drawn
  #round = 0;
  #timer = 0;
  #page;
  #shown = WHOLE;
  #old = null; // the record of what is being restored

  /**
   * `of` is what is drawn: the `receipt`, the prompt as it was before additions were taken out
   * (`base`), its `seed`, and the `state` of the page. `page.changed` is called when there is
   * something new to keep, `page.open` when a picture is to be seen large, `page.again` and
   * `page.remove` where the user wants the prompt back or the pictures gone.
   */
  constructor(of, page) {
    this.of = of;
    this.kept = new Map(); // pictures by their percent of the improvement
    this.#page = page;
    this.root = document.getElementById("drawing").content.firstElementChild.cloneNode(true);
    this.#find(".of b").textContent = of.receipt.prompt;
    this.#find("[data-again]").addEventListener("click", () => page.again(this));
    this.#find("[data-remove]").addEventListener("click", () => page.remove(this));
    this.#find("[data-cancel]").addEventListener("click", () => {
      this.cancel();
      this.#find(".notice").focus(); // the button is gone
    });
    this.#slider.addEventListener("input", () => this.#say());
    this.#slider.addEventListener("change", () => this.#move());
    this.#set(WHOLE);
  }

  /** Draw a prompt as it was given and as it is now; again where it is drawing already. */
  async start(notice) {
    this.close();
    this.#find(".notice").textContent = notice;
    const { receipt } = this.of;
    const job = await this.#draw({}, [0, WHOLE]);
    const isWay = job?.embeddings && job.status === "done" && receipt.source !== receipt.prompt;
    if (!isWay) return;
    this.#find(".strength").hidden = false;
    this.#page.changed();
  }

  /** What a page that is loaded anew needs to show the same. */
  get record() {
    if (this.#old) return this.#old;
    const pictures = [...this.kept].map(([percent, { address, ...about }]) => [percent, about]);
    const isWay = !this.#find(".strength").hidden;
    const notice = this.#find(".notice").textContent;
    return { of: this.of, pictures, job: this.#job, shown: this.#shown, isWay, notice };
  }

  /** Show what a record has, as far as the server still has it; false where nothing is left. */
  async restore(record) {
    const { pictures, job, shown, isWay, notice } = record;
    const round = this.#round;
    this.#old = record;
    this.#find(".notice").textContent = notice;
    for (const [percent, about] of pictures) {
      try {
        await this.#patiently(() => this.#fetch(percent, about));
      } catch {
        // It made room for others, or the server was started anew.
      }
      if (round !== this.#round) return true; // drawn anew meanwhile
    }
    if (pictures.length && !this.kept.has(0)) return false; // nothing to compare with
    if (this.kept.has(shown)) this.#show(shown);
    this.#find(".strength").hidden = !isWay;
    this.#set(this.#shown);
    if (job) {
      try {
        const answer = await this.#patiently(() => ask(`/v1/illustrate/${job.id}`));
        const now = await answer.json();
        if (round !== this.#round) return true;
        this.#old = null;
        this.#job = job;
        const all = job.percents.filter((percent) => !this.kept.has(percent));
        this.#follow(now, round, job.percents, job.percents.length - all.length)
          .catch((error) => round === this.#round && this.#end(error.message));
        return true;
      } catch {
        // The job is gone.
      }
    }
    this.#old = null;
    return this.kept.size > 0;
  }

  /** Give up what is being drawn; finished pictures stay. */
  cancel() {
    this.#leave();
    this.#end("Cancelled.");
    this.#page.changed();
  }

  /** Give up what is being drawn, and let go of all pictures. */
  close() {
    this.#leave();
    this.#find(".strength").hidden = true;
    this.#find(".pictures").replaceChildren();
    for (const { address } of this.kept.values()) URL.revokeObjectURL(address);
    this.kept.clear();
    this.#shown = WHOLE;
    this.#set(WHOLE);
  }

  /** Say so where the pictures are of another prompt than this one, null for none on the page. */
  compare(prompt) {
    this.#find(".of").hidden = prompt !== null;
    this.#find(".stale").hidden = prompt === null || this.of.receipt.prompt === prompt;
  }

  /** Show the picture where the slider is, drawn if it was not yet. */
  #move() {
    const percent = Number(this.#slider.value);
    this.#leave();
    if (this.kept.has(percent)) this.#show(percent);
    else this.#timer = setTimeout(() => this.#draw({ shares: [percent / WHOLE] }, [percent]), SETTLE_MS);
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#round += 1;
    this.#old = null;
    if (this.#job) drop(this.#job.id);
    this.#job = null;
    this.#end("");
  }

  /** Draw, and show what is done; the job at its end, or null where it was left or failed. */
  async #draw(more, percents) {
    const round = this.#round;
    const { receipt, seed } = this.of;
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
      this.#job = { id: job.id, percents };
      this.#page.changed();
      return await this.#follow(job, round, percents);
    } catch (error) {
      if (round === this.#round) this.#end(error.message);
      return null;
    }
  }

  async #follow(job, round, percents, done = 0) {
    let shown = done;
    let failures = 0;
    for (;;) {
      this.#progress(job.progress);
      for (; shown < job.pictures.length; shown += 1) {
        await this.#patiently(() => this.#fetch(percents[shown], job.pictures[shown]));
        if (round !== this.#round) return null;
        this.#page.changed();
      }
      if (ENDED.has(job.status)) break;
      await new Promise((later) => setTimeout(later, EVERY_MS));
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
    this.#page.changed();
    return job;
  }

  /** Try again while the error passes, and nothing else is drawn here. */
  async #patiently(attempt) {
    const round = this.#round;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!error.passes || round !== this.#round) throw error;
        await new Promise((later) => setTimeout(later, error.retryAfter ? 1000 * error.retryAfter : AGAIN_MS));
        if (round !== this.#round) throw error;
      }
    }
  }

  /** Take a finished picture from the server, and show it. */
  async #fetch(percent, about) {
    const round = this.#round;
    const answer = await ask(about.url);
    const file = await answer.blob().catch(() => { throw new Refused(0, "The picture did not arrive."); });
    if (round !== this.#round) return;
    this.kept.set(percent, { ...about, address: URL.createObjectURL(file) });
    this.#show(percent);
  }

  /** Show a picture that is there: the first on the left, any other in the place on the right. */
  #show(percent) {
    const { address, prompt, seed, width } = this.kept.get(percent);
    const figures = this.#find(".pictures");
    const place = Math.min(figures.children.length, 1);
    if (place) this.#shown = percent;
    const about = !place ? "your prompt" : percent === WHOLE ? "the improved prompt"
      : `what lies ${percent}% of the way from your prompt to the improved one`;
    const end = { 0: "original", [WHOLE]: "improved" }[percent] || `${percent}-percent`;
    const figure = figures.children[place] || figures.appendChild(newFigure());
    const image = figure.querySelector("img");
    image.src = address;
    image.alt = `Picture of ${about}: ${prompt}`;
    image.classList.toggle("small", width < SMALL);
    const large = figure.querySelector("button");
    large.setAttribute("aria-label", `Show large: picture of ${about}`);
    large.onclick = () => this.#page.open(this, place ? percent : 0);
    const link = figure.querySelector("a");
    link.href = address;
    link.download = `promptlift-${seed}-${end}.png`;
    link.setAttribute("aria-label", `Save the picture of ${about}`);
    figure.querySelector("span").textContent = place ? nameOf(percent) : nameOf(0);
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

  #find(selector) { return this.root.querySelector(selector); }

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
  const figure = make("figure");
  const large = make("button", "", "large");
  large.type = "button";
  large.append(new Image());
  const caption = make("figcaption");
  caption.append(make("span"), " ", make("a", "Save"));
  figure.append(large, caption);
  return figure;
}
