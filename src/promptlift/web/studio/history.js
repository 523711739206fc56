// Prompts that were improved before, in this browser's storage, the latest first; and steps back.

const KEY = "promptlift.history";
const MOST = 300;
const MOST_STEPS = 100;

function stored(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise; // not ours, or storage is off
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or off: the page works on without.
  }
}

/** What was last on the page. */
export const kept = {
  read: () => stored("promptlift.state", null),
  write: (state) => store("promptlift.state", state),
};

/** Entries `{state, prompts, time}`; one for each prompt and set of options. */
export const history = {
  entries: () => stored(KEY, []),

  add(state, prompts) {
    const same = JSON.stringify(state);
    const others = this.entries().filter((entry) => JSON.stringify(entry.state) !== same);
    store(KEY, [{ state, prompts, time: Date.now() }, ...others].slice(0, MOST));
  },

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
    store(KEY, time === undefined ? [] : before.filter((entry) => entry.time !== time));
    return before;
  },

  restore(entries) {
    const now = this.entries();
    const times = new Set(now.map((entry) => entry.time));
    const all = [...now, ...entries.filter((entry) => !times.has(entry.time))];
    store(KEY, all.sort((a, b) => b.time - a.time).slice(0, MOST));
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
