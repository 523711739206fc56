// The map of what was seen: places with the way between them, and candidates.

const SVG = "http://www.w3.org/2000/svg";

function drawn(kind, attributes, ...children) {
  const found = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  found.append(...children);
  return found;
}

/** Draw it. `pick` is the candidate that is picked, or null; `back` is called with a place. */
export function drawMap(root, points, state, pick, back) {
  const places = new Map(points.filter((one) => one.pick === undefined).map((one) => [one.place, one]));
  const candidates = points.filter((one) => one.pick !== undefined);
  const isOffered = (one) => one.place === state.present && one.offer === state.offer;
  const seen = candidates.filter((one) => !isOffered(one))
    .map((one) => drawn("circle", { class: "seen", cx: one.x, cy: one.y, r: 0.025 }));
  const ways = state.places.filter((one) => one.origin !== null && places.has(one.number))
    .map((one) => [places.get(one.origin), places.get(one.number)])
    .map(([from, to]) => drawn("line", { x1: from.x, y1: from.y, x2: to.x, y2: to.y }));
  const offered = candidates.filter(isOffered).flatMap((one) => [
    drawn("circle", { class: one.pick === pick ? "offered picked" : "offered", cx: one.x, cy: one.y, r: 0.07 }),
    drawn("text", { x: one.x, y: one.y }, String(one.pick + 1)),
  ]);
  const circles = [...places.values()].map((one) => {
    const kind = one.place === state.present ? "place present" : "place";
    const title = drawn("title", {}, `Place ${one.place}`);
    const found = drawn("circle", { class: kind, cx: one.x, cy: one.y, r: 0.06 }, title);
    found.addEventListener("click", () => back(one.place));
    return found;
  });
  root.replaceChildren(...seen, ...ways, ...offered, ...circles);
}
