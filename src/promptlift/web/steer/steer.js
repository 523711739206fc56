// Move a picture by picking: shows where one is and five candidates, and asks the server to move.

import { Brush } from "/steer/brush.js";
import { drawMap } from "/steer/map.js";

const at = (id) => document.getElementById(id);
const SMALL = 256; // pixels; smaller pictures are shown with sharp pixels
const RETRY_MS = 1000;
const SETTLE_MS = 250; // after the last move of the slider

let state = null;
let points = [];
let picked = null;
let busy = true;
let away = false; // the server does not answer
let round = new AbortController(); // of what is loaded for the present candidates
let preview = new AbortController(); // of the picture on the way

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Until the server answers: after a restart it goes on with the same session. */
async function ask(path, { body, signal } = {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await fetch(path, body === undefined ? { signal } : {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
      });
      if (away) problem("");
      away = false;
      answer.again = tries > 0; // the first may have been done, and its answer lost
      return answer;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      away = true;
      problem("The server does not answer. Start it again; where you were is kept.");
      await wait(RETRY_MS);
    }
  }
}

const told = async (answer) => (await answer.json().catch(() => ({}))).error || `The server answers ${answer.status}.`;

/** Show a picture once it is drawn. */
async function show(image, path, signal) {
  const answer = await ask(path, { signal });
  if (!answer.ok) {
    problem(await told(answer));
    return;
  }
  const address = URL.createObjectURL(await answer.blob());
  if (signal?.aborted) {
    URL.revokeObjectURL(address);
    throw new DOMException("left", "AbortError");
  }
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = address;
  await image.decode();
  image.classList.toggle("small", image.naturalWidth < SMALL);
}

const unlessLeft = (error) => { if (error.name !== "AbortError") throw error; };
const way = (pick, percent) => `/v1/pictures/${state.present}/${state.offer}/${pick}/${percent}`;

/** Take what the server says, and show the place where one is. */
async function arrive(next) {
  round.abort();
  preview.abort();
  round = new AbortController();
  const { signal } = round;
  const here = !state || state.present !== next.present;
  state = next;
  picked = null;
  busy = false;
  at("prompt").textContent = state.prompt;
  at("back").disabled = state.places[state.present].origin === null;
  at("there").removeAttribute("src");
  at("there-said").textContent = "Pick a candidate";
  at("here-said").textContent = state.places[state.present].how === "redrawn"
    ? "You are here. From here whole pictures are drawn, without the redrawn part." : "You are here";
  const leaves = at("candidates").contains(document.activeElement) || document.activeElement === at("go");
  at("go").disabled = true;
  at("percent").value = 100;
  say();
  for (const [id, kind, ending] of [["save-picture", "pictures", "png"], ["save-embedding", "embeddings", "safetensors"]]) {
    at(id).href = `/v1/${kind}/${state.present}`;
    at(id).download = `place-${state.present}.${ending}`;
  }
  offer();
  if (leaves) at("candidates").focus({ preventScroll: true });
  remember();
  try {
    if (here) await show(at("here"), `/v1/pictures/${state.present}`, signal);
    at("here").alt = `Place ${state.present}: ${said(state.places[state.present])}`;
    at("state").textContent = "Looking for candidates…";
    const found = await ask(`/v1/offers/${state.present}/${state.offer}`, { signal });
    if (!found.ok) {
      problem(await told(found));
      return;
    }
    const { candidates, map } = await found.json();
    points = map;
    chart();
    const images = [...at("candidates").querySelectorAll("img")];
    for (const [pick, { styles }] of candidates.entries()) {
      images[pick].nextElementSibling.textContent = `${pick + 1}: ${styles.join(", ")}`;
      images[pick].parentElement.title = styles.join(", ");
    }
    for (const [pick, image] of images.entries()) { // one by one: a pick need not wait for the rest
      at("state").textContent = `Drawing ${pick + 1} of ${images.length}…`;
      await show(image, way(pick, 100), signal);
    }
    at("state").textContent = "";
  } catch (error) {
    unlessLeft(error);
  }
}

function said(place) {
  if (place.how === "start") return "the start";
  if (place.how === "redrawn") return `a part drawn anew${place.said ? `: ${place.said}` : ""}`;
  return `${place.percent}% of the way to ${place.said}`;
}

function chart() { drawMap(at("map"), points, state, picked, back); }

/** Buttons for the five, whose pictures come later. */
function offer() {
  at("candidates").replaceChildren(...Array.from({ length: 5 }, (_, pick) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "candidate";
    button.setAttribute("aria-pressed", "false");
    button.dataset.pick = pick;
    const image = new Image();
    image.alt = "";
    const name = document.createElement("span");
    name.textContent = `${pick + 1}`;
    button.append(image, name);
    button.addEventListener("click", () => choose(pick));
    return button;
  }));
}

function remember() {
  at("places").replaceChildren(...state.places.map((place) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    if (place.number === state.present) button.setAttribute("aria-current", "true");
    button.title = said(place);
    const image = new Image();
    image.alt = "";
    image.loading = "lazy";
    image.src = `/v1/pictures/${place.number}`;
    image.onload = () => image.classList.toggle("small", image.naturalWidth < SMALL);
    button.append(image, `${place.number} ${place.how}`);
    button.addEventListener("click", () => back(place.number));
    item.append(button);
    return item;
  }));
  const current = at("places").querySelector("[aria-current]");
  at("places").scrollLeft = current.offsetLeft - at("places").clientWidth / 2;
}

function say() { at("percent-said").textContent = `${at("percent").value}%`; }

function choose(pick) {
  if (busy) return;
  picked = pick;
  for (const button of at("candidates").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.pick) === pick));
  }
  at("go").disabled = false;
  chart();
  look();
}

/** Show the picture on the way to the picked candidate. */
async function look() {
  preview.abort();
  preview = new AbortController();
  const { signal } = preview;
  const percent = at("percent").value;
  say();
  if (picked === null) return;
  at("there-said").textContent = `${percent}% of the way to candidate ${picked + 1}`;
  try {
    await wait(SETTLE_MS);
    if (signal.aborted) return;
    await show(at("there"), way(picked, percent), signal);
    at("there").alt = at("there-said").textContent;
  } catch (error) {
    unlessLeft(error);
  }
}

/** Ask the server to move, and show where one is then; the error where it refuses. */
async function move(path, body) {
  if (busy) return "";
  busy = true;
  problem("");
  round.abort(); // what is drawn for a page that moves on need not be waited for
  preview.abort();
  at("state").textContent = "Moving…";
  const answer = await ask(path, { body });
  if (answer.ok || answer.status === 409) {
    arrive(await answer.json());
    if (answer.status === 409 && !answer.again) problem("Another window has moved on; this is where it is.");
    return "";
  }
  const text = await told(answer);
  if (!at("brush").open) problem(text);
  arrive(state); // with what was being drawn
  return text;
}

const here = () => ({ place: state.present, offer: state.offer });
const go = () => picked !== null && move("/v1/go", { ...here(), pick: picked, percent: Number(at("percent").value) });
const others = () => move("/v1/others", here());

function back(place) {
  if (place !== null && place !== state.present) move("/v1/back", { place });
}

function step(by) {
  at("percent").value = Number(at("percent").value) + by;
  look();
}

const brush = new Brush((mask, percent, prompt) => move("/v1/redraw", { ...here(), mask, percent, prompt }));
const paint = () => { if (!busy && at("here").src) brush.open(at("here")); };
const KEYS = { b: () => back(state.places[state.present].origin), o: others, r: paint, Enter: go,
  ArrowLeft: () => step(-10), ArrowRight: () => step(10) };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || busy || at("brush").open) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.target.matches?.("input, a") && key !== "Enter" && !/^[1-5]$/.test(key)) return;
  const focused = event.target.dataset?.pick;
  if (key === "Enter" && focused !== undefined && Number(focused) !== picked) return; // picks it
  if (key === "Enter" && event.target.matches?.("button:not(.candidate), a")) return;
  if (/^[1-5]$/.test(key)) choose(Number(key) - 1);
  else if (key in KEYS) KEYS[key]();
  else return;
  event.preventDefault();
});
at("percent").addEventListener("input", look);
at("go").addEventListener("click", go);
at("others").addEventListener("click", others);
at("back").addEventListener("click", KEYS.b);
at("part").addEventListener("click", paint);
ask("/v1/state").then(async (answer) => arrive(await answer.json()));
