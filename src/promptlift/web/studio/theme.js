// Light or dark, before anything is drawn: a plain script, as modules wait for the page.

(() => {
  const KEY = "promptlift.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  try {
    const kept = localStorage.getItem(KEY);
    if (["light", "dark"].includes(kept)) root.dataset.theme = kept;
  } catch {
    // The system's it is.
  }
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => button.setAttribute("aria-pressed", String(isDark()));
    system.addEventListener("change", say);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(KEY, root.dataset.theme);
      } catch {
        // It holds until the page is left.
      }
      say();
    });
    say();
  });
})();
