// A prompt for ComfyUI: as its text fields read it, and as nodes to paste on its canvas.

/**
 * A prompt as ComfyUI's text fields read it. They take braces for alternatives, those of JSON too;
 * in other prompts the user means them so.
 */
export function fieldText(prompt) {
  try {
    JSON.parse(prompt);
  } catch {
    return prompt;
  }
  return prompt.replace(/[{}|]/g, "\\$&");
}

/** The HTML that ComfyUI's canvas pastes as nodes: one for each text that is not blank. */
export function nodesHtml(prompt, negative) {
  const texts = [["Positive", prompt], ["Negative", negative]].filter(([, text]) => text?.trim());
  const nodes = texts.map(([name, text], place) => ({
    id: place + 1,
    type: "CLIPTextEncode",
    title: `CLIP Text Encode (${name} Prompt)`,
    pos: [0, 260 * place],
    size: [420, 200],
    flags: {},
    order: place,
    mode: 0,
    properties: { "Node name for S&R": "CLIPTextEncode" },
    widgets_values: [fieldText(text)],
  }));
  // The first releases that paste from the clipboard read base64 as Latin-1, not as UTF-8.
  const ascii = JSON.stringify({ nodes, groups: [], reroutes: [], links: [], subgraphs: [] })
    .replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  // To the letter what ComfyUI writes when it copies: recent releases read nothing else.
  return `<meta charset="utf-8"><div><span data-metadata="${btoa(ascii)}"></span></div>`
    + '<span style="white-space:pre-wrap;">Text</span>';
}
