// What this browser keeps: prompts that were improved before, the latest first; the page as it was
// left; and steps back.

const KEY = "promptlift.history";
const STATE = "promptlift.state";
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

const textOf = (state) => JSON.stringify({ ...state, removed: null });
let left = new Set(); // what is not added by itself, only changed where it is there

/** Entries `{state, prompts, time}`; one for each prompt and set of options. */
export const history = {
  entries() {
    const found = local.read(KEY, []);
    return Array.isArray(found) ? found : [];
  },

  add(state, prompts) {
    const same = textOf(state);
    const entries = this.entries();
    const others = entries.filter((entry) => textOf(entry.state) !== same);
    if (left.has(same) && others.length === entries.length) return;
    local.write(KEY, [{ state, prompts, time: Date.now() }, ...others].slice(0, MOST));
  },

  /** Do not add a state by itself: it was forgotten, or the page only shows it again. */
  leave(state) { left.add(textOf(state)); },

  search(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    return this.entries().filter((entry) => {
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
    local.write(KEY, all.sort((a, b) => b.time - a.time).slice(0, MOST));
  },
};

/** States of the page, to go back and forth between. */
export class Steps {
  #states = [];
  #place = -1;

  get canUndo() { return this.#place > 0; }
  get canRedo() { return this.#place < this.#states.length - 1; }

  note(state) {
    const text = JSON.stringify(state);
    if (this.#states[this.#place] === text) return;
    this.#states = [...this.#states.slice(0, this.#place + 1), text].slice(-MOST_STEPS);
    this.#place = this.#states.length - 1;
  }

  undo() { return this.canUndo ? JSON.parse(this.#states[--this.#place]) : null; }
  redo() { return this.canRedo ? JSON.parse(this.#states[++this.#place]) : null; }
}
