// The dialog of what was improved before.

import { history } from "/studio/history.js";
import { at } from "/studio/page.js";
import { go, keep } from "/studio/results.js";

function listHistory() {
  const entries = history.search(at("search").value);
  at("entries").replaceChildren(...entries.map((entry) => {
    const item = document.createElement("li");
    const again = document.createElement("button");
    again.type = "button";
    const title = document.createElement("b");
    title.textContent = entry.state.prompt;
    const result = document.createElement("span");
    result.textContent = entry.prompts[0];
    const time = document.createElement("time");
    time.dateTime = new Date(entry.time).toISOString();
    time.textContent = new Date(entry.time).toLocaleString();
    again.append(title, result, time);
    again.addEventListener("click", () => {
      at("history").close();
      go(entry.state);
    });
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "forget";
    forget.textContent = "Forget";
    forget.setAttribute("aria-label", `Forget ${entry.state.prompt}`);
    forget.addEventListener("click", () => forgotten(history.forget(entry.time)));
    item.append(again, forget);
    return item;
  }));
  if (!entries.length) {
    const none = document.createElement("li");
    none.textContent = at("search").value ? "Nothing found." : "Nothing yet.";
    at("entries").append(none);
  }
}

let before = []; // what there was before the last "Forget"

function forgotten(entries) {
  before = entries;
  at("bring-back").hidden = false;
  listHistory();
  at("bring-back").focus();
}

at("show-history").addEventListener("click", () => {
  keep();
  at("search").value = "";
  listHistory();
  at("history").showModal();
});
at("search").addEventListener("input", listHistory);
at("forget").addEventListener("click", () => forgotten(history.forget()));
at("bring-back").addEventListener("click", () => {
  history.restore(before);
  at("bring-back").hidden = true;
  listHistory();
  at("search").focus();
});
