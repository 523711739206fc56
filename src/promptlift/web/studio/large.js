// Two pictures large: side by side, or one over the other with a line to move between them.

import { at } from "/studio/page.js";
import { nameOf } from "/studio/pictures.js";

let pictures = new Map(); // by the value of their option

/** Open the dialog with a drawing's own picture on the left, and the one that was pressed on the right. */
export function openLarge(drawings, drawing, percent) {
  pictures = new Map();
  for (const menu of [at("left"), at("right")]) menu.replaceChildren();
  drawings.forEach((one, place) => {
    for (const [share, picture] of [...one.kept].sort(([a], [b]) => a - b)) {
      const value = `${place}:${share}`;
      pictures.set(value, picture);
      const text = `${nameOf(share)}: ${picture.prompt}`;
      for (const menu of [at("left"), at("right")]) menu.add(new Option(text, value));
    }
  });
  const place = drawings.indexOf(drawing);
  const others = [...drawing.kept.keys()].filter((share) => share !== 0);
  at("left").value = `${place}:0`;
  at("right").value = `${place}:${percent || (others.includes(100) ? 100 : others[0] ?? 0)}`;
  show();
  at("large").showModal();
}

function show() {
  for (const side of ["left", "right"]) {
    const picture = pictures.get(at(side).value);
    const image = at(`${side}-picture`);
    image.src = picture.address;
    image.alt = at(side).selectedOptions[0].textContent;
    image.classList.toggle("small", picture.width < 256);
    at(`${side}-save`).href = picture.address;
    at(`${side}-save`).download = `promptlift-${picture.seed}-${side}.png`;
    at(`${side}-save`).textContent = `Save the ${side} one`;
  }
  divide();
}

/** The right picture covers the left one from the line on. */
function divide() {
  const isOver = document.querySelector("[name=view]:checked").value === "over";
  at("stage").classList.toggle("over", isOver);
  at("line").parentElement.hidden = !isOver;
  const share = at("line").value;
  at("line").setAttribute("aria-valuetext", `${share}% left, ${100 - share}% right`);
  at("right-picture").style.clipPath = isOver ? `inset(0 0 0 ${share}%)` : "";
  at("edge").style.left = `${share}%`;
}

for (const menu of ["left", "right"]) at(menu).addEventListener("change", show);
for (const one of document.querySelectorAll("[name=view]")) one.addEventListener("change", divide);
at("line").addEventListener("input", divide);
