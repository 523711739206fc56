"use strict";
// Choosing and sorting pairs, and the viewer. Works on what the page holds; fetches nothing but
// the pictures beside it.
(() => {
  const grid = document.getElementById("pairs");
  const form = document.getElementById("choose");
  const viewer = document.getElementById("viewer");
  const title = document.getElementById("viewer-title");
  const count = document.getElementById("count");
  const pairs = [...grid.children].map((node, place) => ({
    node,
    place,
    gains: JSON.parse(node.dataset.gains),
    far: node.dataset.far === "" ? null : Number(node.dataset.far),
    choice: node.dataset.choice,
  }));
  let seen = pairs; // those that are shown, in their order
  let open = null; // the pair in the viewer
  let from = null; // the link above the gallery that opened it, to go back to
  document.body.append(viewer); // the gallery may be folded

  const value = (name, otherwise) => (form.elements[name] ? form.elements[name].value : otherwise);
  const gain = (pair) => pair.gains[Number(value("metric", 0))] ?? null;

  // By a figure, the greatest first for sign -1; those without one are last.
  function sorted(list, figure, sign) {
    const order = (a, b) => {
      const [x, y] = [figure(a), figure(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (x - y);
    };
    return [...list].sort((a, b) => order(a, b) || a.place - b.place);
  }

  const orders = {
    number: (list) => sorted(list, (pair) => pair.place, 1),
    rise: (list) => sorted(list, gain, -1),
    fall: (list) => sorted(list, gain, 1),
    far: (list) => sorted(list, (pair) => pair.far, -1),
  };
  const extremes = { best: "rise", worst: "fall", far: "far" };

  function apply() {
    const show = value("show", "all");
    let list = pairs;
    if (show in extremes) {
      const figure = show === "far" ? (pair) => pair.far : gain;
      const known = pairs.filter((pair) => figure(pair) !== null);
      list = orders[extremes[show]](known).slice(0, Number(form.dataset.few));
    } else if (show.startsWith("choice:")) {
      list = pairs.filter((pair) => pair.choice === show.slice("choice:".length));
    }
    seen = orders[value("order", "number")](list);
    const shown = new Set(seen);
    for (const pair of pairs) pair.node.hidden = !shown.has(pair);
    for (const pair of seen) grid.append(pair.node);
    count.textContent = `${seen.length} of ${pairs.length} pairs`;
  }

  function address(text) {
    // A page in a frame or of an odd origin may refuse; the viewer works without.
    try { history.replaceState(null, "", text); } catch { /* stays as it was */ }
  }

  function whole(link) {
    const thumbnail = link.querySelector("img");
    const figure = document.createElement("figure");
    const caption = link.parentNode.querySelector("figcaption").cloneNode(true);
    const image = document.createElement("img");
    const outer = document.createElement("a");
    outer.href = link.href;
    outer.append(image);
    image.alt = thumbnail ? thumbnail.alt : `${link.dataset.side} picture`;
    image.onerror = () => {
      image.onerror = null;
      if (thumbnail) image.src = thumbnail.src;
      caption.append(" (small: the whole picture is not beside this page)");
    };
    image.src = link.href;
    figure.append(outer, caption);
    return figure;
  }

  function look(pair) {
    if (!seen.includes(pair)) {
      form.elements.show[0].checked = true;
      apply();
    }
    open = pair;
    const [name, place] = pair.node.querySelector("h3").children;
    title.textContent =
      `${name.textContent}: ${place.textContent} (${seen.indexOf(pair) + 1} of ${seen.length})`;
    viewer.querySelector(".two").replaceChildren(
      ...[...pair.node.querySelectorAll(".whole")].map(whole));
    const about = pair.node.querySelector(".about").cloneNode(true);
    for (const details of about.querySelectorAll("details")) details.open = true;
    viewer.querySelector(".about").replaceWith(about);
    if (!viewer.open) viewer.showModal();
    viewer.scrollTop = 0;
    address(`#${pair.node.id}`);
  }

  function step(by) {
    const next = seen.indexOf(open) + by;
    if (next >= 0 && next < seen.length) look(seen[next]);
  }

  // Without the viewer: from one pair to the next, where the eye or the focus is.
  function walk(by) {
    const at = seen.findIndex((pair) => pair.node.contains(document.activeElement));
    const next = seen[at < 0 ? 0 : at + by];
    if (!next) return;
    show(next);
  }

  function show(pair) {
    grid.closest("details").open = true;
    pair.node.querySelector(".whole").focus({ preventScroll: true });
    pair.node.scrollIntoView({ block: "nearest" });
  }

  function named() {
    const node = location.hash.startsWith("#pair-") && document.getElementById(location.hash.slice(1));
    const pair = node && pairs.find((one) => one.node === node);
    if (pair) look(pair);
  }

  document.querySelector("main").addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest(".strip a, .whole, .pair h3 a");
    if (!link) return;
    const pair = pairs.find(({ node }) => node.contains(link) || `#${node.id}` === link.hash);
    if (!pair) return; // of a large run, the page has a part of the pairs
    event.preventDefault();
    from = link.closest(".strip") && link;
    look(pair);
  });
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close(); // outside of it
    const button = event.target.closest("[data-go]");
    if (!button) return;
    if (Number(button.dataset.go)) step(Number(button.dataset.go));
    else viewer.close();
  });
  viewer.addEventListener("close", () => {
    const [pair, back] = [open, from];
    open = from = null;
    address(location.pathname + location.search);
    if (back) back.focus();
    else if (pair) show(pair);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    const by = { j: 1, k: -1, arrowright: 1, arrowleft: -1 }[key];
    if (!by) return;
    if (viewer.open) step(by);
    else if (key === "j" || key === "k") walk(by);
    else return;
    event.preventDefault();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "show" && form.elements.order) {
      form.elements.order.value = extremes[event.target.value] || "number";
    }
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", named);
  form.hidden = false;
  apply();
  named();
})();
