// Requests to the server that sent this page, and to no other.

import { session } from "/studio/history.js";

let token = session.read("token", null);

/** What the server refused, or that it was not reached (`status` 0). */
export class Refused extends Error {
  constructor(status, text, retryAfter = null) {
    super(text);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may do later. */
  get passes() { return [0, 429, 503].includes(this.status); }
}

/** The answer to a request; asks for the token where the server wants one. */
export async function ask(path, { method = "GET", body, type = "application/json", signal } = {}) {
  for (;;) {
    const sent = token;
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = type;
    if (sent) headers.Authorization = `Bearer ${sent}`;
    let answer;
    try {
      answer = await fetch(path, {
        method, headers, signal,
        keepalive: method === "DELETE", // may be the last word of a page that is left
        body: type === "application/json" && body !== undefined ? JSON.stringify(body) : body,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "The server does not answer. Your text is kept.");
    }
    if (answer.status === 401) {
      await signIn(sent);
      continue;
    }
    if (sent) session.write("token", sent);
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    const after = Number(answer.headers.get("retry-after")) || null;
    throw new Refused(answer.status, told.error || `The server answers ${answer.status}.`, after);
  }
}

/** A request with JSON, and the JSON of its answer. */
export async function post(path, body, signal) {
  return (await ask(path, { method: "POST", body, signal })).json();
}

let asking = null; // several requests can miss the token at once

function signIn(refused) {
  if (refused !== token) return null; // another was given meanwhile
  asking ||= new Promise((done) => {
    const dialog = document.getElementById("sign-in");
    const field = document.getElementById("token");
    document.getElementById("refused").hidden = !refused;
    field.value = "";
    dialog.addEventListener("close", () => {
      token = field.value.trim();
      asking = null;
      done();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return asking;
}
