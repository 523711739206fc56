// A picture that was opened or dropped: its prompt, and the way to make it again.

import { ask } from "/studio/api.js";
import { models } from "/studio/options.js";
import { at, make, problem } from "/studio/page.js";
import { begun, go } from "/studio/results.js";
import { textsOf } from "/studio/texts.js";

async function readPicture(file) {
  try {
    const body = await textsOf(file);
    const answer = await ask("/v1/picture-text", { method: "POST", body, type: body.type });
    showPicture(await answer.json());
  } catch (error) {
    problem(error.message);
  }
}

function showPicture({ prompt, negative, settings, tool, notes, receipt }) {
  const facts = [["Prompt", prompt], ["Negative prompt", negative]];
  if (receipt) {
    facts.push(["Improved from", receipt.source], ["By", receipt.model],
      ["Seed and variant", `${receipt.seed}, ${receipt.variant + 1}`]);
  }
  facts.push(["Written by", receipt ? "" : tool], ["Note", notes.join("; ")]);
  facts.push(...Object.entries(settings).filter(([name]) => !name.startsWith("promptlift ")));
  at("facts").replaceChildren(...facts.filter(([, text]) => text)
    .flatMap(([name, text]) => [make("dt", name), make("dd", text)]));
  at("use").onclick = () => {
    at("found").close();
    go({ prompt, negative, force: false, removed: [] });
  };
  at("again").hidden = !receipt || ["original", "steer"].includes(receipt.mode); // nobody improved it
  at("again").onclick = async () => {
    at("found").close();
    await begun; // which models there are
    go(fromReceipt(receipt), receipt);
  };
  if (!at("found").open) at("found").showModal();
}

/** The page's state from which a receipt comes again, as far as the page has its options. */
function fromReceipt({ source, seed, variant, mode, model, negative, settings, checks }) {
  const allowed = (value, otherwise) => {
    if (value === "never" || value === "free") return value === "never" ? 0 : 100;
    return Number.isFinite(value) ? Math.round(100 - 100 * value) : otherwise;
  };
  const list = (value) => (Array.isArray(value) ? value.join(", ") : "");
  const n = [...at("n").options].map((one) => Number(one.value)).find((one) => one > variant);
  const removed = [];
  removed[variant] = checks.removed || [];
  return {
    prompt: source, seed: String(seed), n: String(n || variant + 1), mode, removed,
    form: settings.form || "tags",
    picture_model: settings.picture_model || models.pictures[0].name,
    writer: model === models.writers[0].id ? "" : model,
    negative: negative || "", length: settings.length || "", chunks: String(settings.chunks || 1),
    artists: allowed(settings.artists, 0), styles: allowed(settings.styles, 100),
    diversity: Math.round(100 * (settings.diversity || 0)), force: Boolean(settings.force),
    style: settings.style || "", include: list(settings.include), avoid: list(settings.avoid),
    pinned: checks.pinned || [],
  };
}

at("picture").addEventListener("change", () => {
  if (at("picture").files[0]) readPicture(at("picture").files[0]);
  at("picture").value = "";
});

const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  at("drop").hidden = false;
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").hidden = true; });
addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  at("drop").hidden = true;
  if (event.dataTransfer.files[0]) readPicture(event.dataTransfer.files[0]);
});
