// The dialog of what was improved before.

import { history } from "/studio/history.js";
import { at, make } from "/studio/page.js";
import { go, keep } from "/studio/results.js";

function listHistory() {
  const entries = history.search(at("search").value, at("favourites").checked);
  at("entries").replaceChildren(...entries.map((entry) => {
    const item = make("li");
    const again = make("button");
    again.type = "button";
    const [starred = 0] = entry.stars || [];
    const words = make("span", "", "words");
    const time = make("time", new Date(entry.time).toLocaleString());
    time.dateTime = new Date(entry.time).toISOString();
    const title = make("b", entry.state.prompt);
    if (entry.stars?.length) title.append(" ", make("i", "★"));
    words.append(title, make("span", entry.prompts[starred] || entry.prompts[0]), time);
    const image = make("span", "", "thumb");
    if (String(entry.picture).startsWith("data:image/")) {
      image.append(new Image());
      image.firstChild.src = entry.picture;
      image.firstChild.alt = "";
    }
    again.append(image, words);
    again.addEventListener("click", () => {
      at("history").close();
      go(entry.state);
    });
    const forget = make("button", "Forget", "forget");
    forget.type = "button";
    forget.setAttribute("aria-label", `Forget ${entry.state.prompt}`);
    forget.addEventListener("click", () => forgotten(history.forget(entry.time)));
    item.append(again, forget);
    return item;
  }));
  const isNarrow = at("search").value || at("favourites").checked;
  if (!entries.length) at("entries").append(make("li", isNarrow ? "Nothing found." : "Nothing yet."));
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
  at("favourites").checked = false;
  listHistory();
  at("history").showModal();
});
at("search").addEventListener("input", listHistory);
at("favourites").addEventListener("change", listHistory);
at("forget").addEventListener("click", () => forgotten(history.forget()));
at("bring-back").addEventListener("click", () => {
  history.restore(before);
  at("bring-back").hidden = true;
  listHistory();
  at("search").focus();
});
