// Undo and redo in each text field by itself. Chromium has one stack for the whole page: Ctrl+Z in
// the prompt would take back what was typed in another field later, and jump there.

export const TEXT_FIELD = "textarea, input:not([type=range], [type=radio], [type=checkbox], [type=file])";
const MOST = 200; // steps of a field

class Typing {
  #field;
  #back = [];
  #forth = [];
  #now; // as the last edit left it
  #before = null; // as it was before the edit in hand
  #kind = ""; // of the edit that goes on

  constructor(field) {
    this.#field = field;
    this.#now = this.#read();
  }

  begin() {
    this.#compare();
    this.#before = this.#read();
  }

  end({ inputType, data, isComposing }) {
    const before = this.#before || this.#now;
    const isWhereItWas = before.start === before.end && before.end === this.#now.end;
    const goesOn = inputType === this.#kind && (isComposing || (isWhereItWas && !/^\s/.test(data || "")));
    if (!goesOn) this.#back = [...this.#back, before].slice(-MOST);
    this.#forth = [];
    this.#before = null;
    this.#kind = inputType;
    this.#now = this.#read();
  }

  /** What is typed next is a step of its own. */
  pause() { this.#kind = ""; }

  step(back) {
    this.#compare();
    const [from, to] = back ? [this.#back, this.#forth] : [this.#forth, this.#back];
    const found = from.pop();
    if (!found) return;
    to.push(this.#read());
    this.#field.value = found.value;
    this.#field.setSelectionRange(found.start, found.end);
    this.#now = this.#read();
    this.pause();
    const inputType = back ? "historyUndo" : "historyRedo";
    this.#field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType }));
  }

  /** What the page has set itself is no typing, nor is there a way back past it. */
  #compare() {
    if (this.#field.value === this.#now.value) return;
    this.#back = [];
    this.#forth = [];
    this.#now = this.#read();
    this.pause();
  }

  #read() {
    const { value, selectionStart: start, selectionEnd: end } = this.#field;
    return { value, start, end };
  }
}

const fields = new WeakMap();

function typingIn(element) {
  if (!element.matches?.(TEXT_FIELD)) return null;
  if (!fields.has(element)) fields.set(element, new Typing(element));
  return fields.get(element);
}

const isStep = ({ inputType }) => inputType === "historyUndo" || inputType === "historyRedo";

addEventListener("beforeinput", (event) => {
  if (!isStep(event)) {
    typingIn(event.target)?.begin();
  } else if (typingIn(event.target)) { // of a menu; the field is that of the browser's step
    event.preventDefault();
    typingIn(document.activeElement)?.step(event.inputType === "historyUndo");
  }
});
addEventListener("input", (event) => {
  if (!isStep(event)) typingIn(event.target)?.end(event);
});
for (const kind of ["focusout", "compositionend"]) {
  addEventListener(kind, (event) => typingIn(event.target)?.pause());
}
addEventListener("keydown", (event) => {
  const key = event.key?.toLowerCase();
  const isRedo = key === "z" ? event.shiftKey : key === "y" && event.ctrlKey;
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.isComposing || !(key === "z" || isRedo)) return;
  const typing = typingIn(event.target);
  if (!typing) return;
  event.preventDefault();
  typing.step(!isRedo);
});
