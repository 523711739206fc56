// A dialog to paint over the part of a picture that is to be drawn anew.

const at = (id) => document.getElementById(id);
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Brush {
  #paint = at("mask").getContext("2d");
  #last = null; // where the brush was, in pixels of the picture
  #isDrawing = false;

  /** `redraw` is called with the mask as base64, percent and words, and says when it is done. */
  constructor(redraw) {
    const canvas = at("mask");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#isDrawing = true;
      this.#last = null;
      this.#stroke(this.#place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#isDrawing) for (const one of event.getCoalescedEvents?.() || [event]) this.#stroke(this.#place(one));
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, () => { this.#isDrawing = false; });
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { at("cursor").hidden = true; });
    at("wipe").addEventListener("click", () => this.#clear());
    at("strength").addEventListener("input", () => this.#say());
    at("brush").querySelector(".shut").addEventListener("click", () => at("brush").close());
    at("paint").addEventListener("click", async () => {
      at("paint").disabled = true;
      at("brush-said").textContent = "Drawing…";
      try {
        const found = await redraw(this.#mask(), Number(at("strength").value), at("words").value);
        at("brush-said").textContent = found;
        if (!found) at("brush").close();
      } finally {
        at("paint").disabled = false;
      }
    });
  }

  /** Open it for a picture that is loaded. */
  open(picture) {
    at("under").src = picture.src;
    at("under").classList.toggle("small", picture.classList.contains("small"));
    at("mask").width = picture.naturalWidth;
    at("mask").height = picture.naturalHeight;
    this.#clear();
    this.#say();
    at("brush").showModal();
  }

  #say() { at("strength-said").textContent = `${at("strength").value}%`; }

  #clear() {
    const { width, height } = at("mask");
    this.#paint.clearRect(0, 0, width, height);
    this.#last = null;
    at("brush-said").textContent = "";
    at("paint").disabled = true; // until something is painted
    at("cursor").hidden = true;
  }

  /** The brush's width in pixels of the picture. */
  get #size() { return Math.max(1, (Number(at("size").value) / 100) * at("mask").width); }

  #place(event) {
    const { left, top, width, height } = at("mask").getBoundingClientRect();
    return [((event.clientX - left) / width) * at("mask").width, ((event.clientY - top) / height) * at("mask").height];
  }

  #stroke(to) {
    const [x, y] = this.#last || to;
    Object.assign(this.#paint, { lineWidth: this.#size, strokeStyle: "#fff", fillStyle: "#fff" });
    this.#paint.beginPath();
    this.#paint.moveTo(x, y);
    this.#paint.lineTo(...to);
    this.#paint.stroke();
    this.#paint.beginPath(); // the end of the line, and all of a dot
    this.#paint.arc(...to, this.#size / 2, 0, 2 * Math.PI);
    this.#paint.fill();
    this.#last = to;
    at("paint").disabled = false;
  }

  #key(event) {
    const { width, height } = at("mask");
    this.#last ||= [width / 2, height / 2];
    if (event.key === " ") {
      this.#stroke(this.#last);
    } else if (event.key in ARROWS) {
      const [right, down] = ARROWS[event.key];
      const [x, y] = this.#last;
      const moved = [Math.min(width, Math.max(0, x + right * this.#size / 2)), Math.min(height, Math.max(0, y + down * this.#size / 2))];
      this.#last = moved;
      at("cursor").style.left = `${(100 * moved[0]) / width}%`;
      at("cursor").style.top = `${(100 * moved[1]) / height}%`;
      at("cursor").hidden = false;
      at("brush-said").textContent = `${Math.round((100 * moved[0]) / width)}% from the left, ${Math.round((100 * moved[1]) / height)}% from the top`;
    } else {
      return;
    }
    event.preventDefault();
  }

  /** PNG of the picture's size as base64, white on black. */
  #mask() {
    const { width, height } = at("mask");
    const whole = Object.assign(document.createElement("canvas"), { width, height });
    const paint = whole.getContext("2d");
    paint.fillRect(0, 0, width, height);
    paint.drawImage(at("mask"), 0, 0);
    return whole.toDataURL("image/png").split(",")[1];
  }
}
