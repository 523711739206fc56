// What a picture says of itself, without its pixels: only that leaves the browser.

const KEPT = new Set(["IHDR", "tEXt", "zTXt", "iTXt", "IEND"]);
const PNG = "\x89PNG\r\n\x1a\n";

/**
 * The texts of a picture: of a PNG its header and texts as a PNG of its own, of a JPEG or WebP its
 * EXIF block. Throws where the file is none of these, is damaged, or has no such block.
 */
export async function textsOf(file) {
  const head = await letters(file, 0, 12);
  if (head.startsWith(PNG)) return new Blob(await parts(file, 8, pngChunk), { type: "image/png" });
  let found;
  if (head.startsWith("\xff\xd8")) found = await parts(file, 2, jpegSegment);
  else if (/^RIFF[^]{4}WEBP$/.test(head)) found = await parts(file, 12, webpChunk);
  else throw new Error(`${file.name} is no PNG, JPEG or WebP. Other kinds of pictures carry no prompt here.`);
  if (!found.length) throw new Error(`${file.name} carries no prompt: it has no EXIF.`);
  return new Blob(found.slice(0, 1), { type: "application/octet-stream" });
}

// Each reads where a part begins: how long the whole part is, which of its bytes are kept, and
// whether no further part matters.

function pngChunk(view, name) {
  const size = view.getUint32(0) + 12;
  return { size, keep: KEPT.has(name.slice(4)) && [0, size], last: name.slice(4) === "IEND" };
}

function jpegSegment(view, name) {
  const size = view.getUint16(2) + 2;
  const isExif = name.startsWith("\xff\xe1") && name.slice(4) === "Exif";
  // After the start of scan come pixels, which have no length.
  return { size, keep: isExif && [4, size], last: isExif || name[0] !== "\xff" || name[1] === "\xda" };
}

function webpChunk(view, name) {
  const length = view.getUint32(4, true);
  return { size: 8 + length + (length % 2), keep: name.startsWith("EXIF") && [8, 8 + length] };
}

async function parts(file, place, read) {
  const found = read === pngChunk ? [file.slice(0, place)] : [];
  let last = false;
  while (!last && (read !== webpChunk || place + 8 <= file.size)) {
    const start = file.slice(place, place + 8);
    if (start.size < 8) throw new Error(`${file.name} is damaged or cut off.`);
    const view = new DataView(await start.arrayBuffer());
    const part = read(view, await letters(file, place, 8));
    if (part.last && !part.keep) break;
    if (place + part.size > file.size) throw new Error(`${file.name} is damaged or cut off.`);
    if (part.keep) found.push(file.slice(place + part.keep[0], place + part.keep[1]));
    place += part.size;
    last = part.last;
  }
  return found;
}

async function letters(file, place, size) {
  return String.fromCharCode(...new Uint8Array(await file.slice(place, place + size).arrayBuffer()));
}
