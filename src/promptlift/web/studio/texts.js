// What a PNG says of itself, without its pixels: only that leaves the browser.

const KEPT = new Set(["IHDR", "tEXt", "zTXt", "iTXt", "IEND"]);
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** A PNG's header and texts as a PNG of its own. Throws where the file is none, or is damaged. */
export async function withoutPixels(file) {
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  if (!SIGNATURE.every((byte, place) => head[place] === byte)) {
    throw new Error(`${file.name} is no PNG. Other kinds of pictures carry no prompt here.`);
  }
  const parts = [file.slice(0, 8)];
  let place = 8;
  let name = "";
  while (name !== "IEND") {
    const start = new DataView(await file.slice(place, place + 8).arrayBuffer());
    const size = start.byteLength === 8 ? start.getUint32(0) + 12 : 0;
    if (!size || place + size > file.size) throw new Error(`${file.name} is damaged or cut off.`);
    name = String.fromCharCode(...[4, 5, 6, 7].map((at) => start.getUint8(at)));
    if (KEPT.has(name)) parts.push(file.slice(place, place + size));
    place += size;
  }
  return new Blob(parts, { type: "image/png" });
}
