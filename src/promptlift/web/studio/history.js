// What this browser keeps: prompts that were improved before, the latest first; the page as it was
// left; and steps back.

const KEY = "promptlift.history";
const STATE = "promptlift.state";
const STEPS = "promptlift.steps";
const MOST = 300;
const MOST_STEPS = 100;

/** A storage that may be full, off, or hold what is not ours: then there is nothing in it. */
class Kept {
  #place;

  constructor(place) { this.#place = place; }

  read(key, otherwise) {
    try {
      return JSON.parse(window[this.#place].getItem(key)) ?? otherwise;
    } catch {
      return otherwise;
    }
  }

  write(key, value) {
    try {
      window[this.#place].setItem(key, JSON.stringify(value));
    } catch {
      // The page works on without.
    }
  }
}

export const session = new Kept("sessionStorage");
const local = new Kept("localStorage");

/** What was last on the page: in this tab, otherwise in any. */
export const page = {
  read: () => session.read(STATE, null) || local.read(STATE, null),
  write(state) {
    session.write(STATE, state);
    local.write(STATE, state);
  },
};

/** What tells entries apart: not what was done to the results, nor how many there are. */
const textOf = (state) => JSON.stringify({ ...state, removed: null, pinned: null, n: null });
const stars = (entry) => entry.stars || [];
let left = new Set(); // what is not added by itself, only changed where it is there

/**
 * Entries `{state, prompts, time}`, one for each prompt and set of options; where there are any with
 * `stars`, the variants that are favourites, and `picture`, a small one of what was drawn.
 */
export const history = {
  entries() {
    const found = local.read(KEY, []);
    return Array.isArray(found) ? found : [];
  },

  add(state, prompts) {
    const same = textOf(state);
    const entries = this.entries();
    const found = entries.find((entry) => textOf(entry.state) === same);
    if (left.has(same) && !found) return;
    const others = entries.filter((entry) => entry !== found);
    this.write([{ ...found, state, prompts, time: Date.now() }, ...others]);
  },

  /** Favourites stay when there are too many. */
  write(entries) {
    const most = entries.filter((entry, place) => place < MOST || stars(entry).length);
    local.write(KEY, most);
  },

  find(state) {
    const same = textOf(state);
    return this.entries().find((entry) => textOf(entry.state) === same);
  },

  change(state, change) {
    const same = textOf(state);
    this.write(this.entries().map((entry) => (textOf(entry.state) === same ? { ...entry, ...change(entry) } : entry)));
  },

  /** Which variants of a state are favourites. */
  starred(state) { return stars(this.find(state) || {}); },

  /** Make a variant a favourite, or none where it is one; whether it is one now. */
  star(state, variant) {
    const isOne = !this.starred(state).includes(variant);
    this.change(state, (entry) => ({
      stars: isOne ? [...stars(entry), variant] : stars(entry).filter((one) => one !== variant),
    }));
    return isOne;
  },

  /** A small picture of what a state led to. */
  illustrate(state, picture) { this.change(state, () => ({ picture })); },

  /** Do not add a state by itself: it was forgotten, or the page only shows it again. */
  leave(state) { left.add(textOf(state)); },

  /** Add a state again, as the user does something with it. */
  want(state) { left.delete(textOf(state)); },

  search(words, favourites = false) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    return this.entries().filter((entry) => {
      if (favourites && !stars(entry).length) return false;
      const text = [entry.state.prompt, ...entry.prompts].join("\n").toLowerCase();
      return wanted.every((word) => text.includes(word));
    });
  },

  /** Forget one entry, or all; gives back what there was, for `restore`. */
  forget(time) {
    const before = this.entries();
    const taken = before.filter((entry) => time === undefined || entry.time === time);
    for (const entry of taken) this.leave(entry.state);
    local.write(KEY, before.filter((entry) => !taken.includes(entry)));
    return before;
  },

  restore(entries) {
    left = new Set();
    const now = this.entries();
    const times = new Set(now.map((entry) => entry.time));
    const all = [...now, ...entries.filter((entry) => !times.has(entry.time))];
    this.write(all.sort((a, b) => b.time - a.time));
  },
};

/** States of the page, to go back and forth between, also after it was loaded anew. */
export class Steps {
  #states = [];
  #place = -1;

  constructor() {
    const { states, place } = session.read(STEPS, {});
    if (!Array.isArray(states) || !Number.isInteger(place) || !states[place]) return;
    this.#states = states;
    this.#place = place;
  }

  get canUndo() { return this.#place > 0; }
  get canRedo() { return this.#place < this.#states.length - 1; }

  note(state) {
    const text = JSON.stringify(state);
    if (this.#states[this.#place] === text) return;
    this.#states = [...this.#states.slice(0, this.#place + 1), text].slice(-MOST_STEPS);
    this.#move(this.#states.length - 1);
  }

  undo() { return this.canUndo ? this.#move(this.#place - 1) : null; }
  redo() { return this.canRedo ? this.#move(this.#place + 1) : null; }

  #move(place) {
    this.#place = place;
    session.write(STEPS, { states: this.#states, place });
    return JSON.parse(this.#states[place]);
  }
}
