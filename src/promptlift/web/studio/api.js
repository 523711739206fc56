// Requests to the server that sent this page, and to no other.

let token = sessionStorage.getItem("token");

/** What the server refused, or that it was not reached (`status` 0). */
export class Refused extends Error {
  constructor(status, text, retryAfter = null) {
    super(text);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** The answer to a request; asks for the token where the server wants one. */
export async function ask(path, { method = "GET", body, type = "application/json", signal } = {}) {
  for (;;) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = type;
    if (token) headers.Authorization = `Bearer ${token}`;
    const sent = type === "application/json" && body !== undefined ? JSON.stringify(body) : body;
    let answer;
    try {
      answer = await fetch(path, { method, body: sent, headers, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "The server is not reached. Your text is kept.");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      await signIn();
      continue;
    }
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

function signIn() {
  asking ||= new Promise((done) => {
    const dialog = document.getElementById("sign-in");
    const field = document.getElementById("token");
    field.value = "";
    dialog.addEventListener("close", () => {
      token = field.value.trim();
      sessionStorage.setItem("token", token);
      asking = null;
      done();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return asking;
}
