"use strict";
// Shows /openapi.json. Everything is set as text, never as markup.
let schemas = {};

function make(tag, text, parent, attributes = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

function named(schema) {
  return schema && schema.$ref ? schemas[schema.$ref.split("/").pop()] : schema;
}

function kind(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  const any = schema.anyOf || schema.oneOf;
  if (any) return any.map(kind).filter((one) => one !== "null").join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items || {})}`;
  const bounds = [
    ["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["exclusiveMaximum", "<"],
  ].filter(([name]) => schema[name] !== undefined).map(([name, sign]) => `${sign} ${schema[name]}`);
  return [schema.type || "any", ...bounds].join(" ");
}

function table(title, rows, parent) {
  if (!rows.length) return;
  make("h3", title, parent);
  const body = make("table", undefined, make("div", undefined, parent, { class: "wide" }));
  for (const cells of rows) {
    const row = make("tr", undefined, body);
    cells.forEach((text, place) => {
      const cell = make(place ? "td" : "th", undefined, row, place ? {} : { scope: "row" });
      make(place === 2 ? "span" : "code", text, cell);
    });
  }
}

function fieldsOf(schema) {
  const found = named(schema) || {};
  const required = found.required || [];
  return Object.entries(found.properties || {}).map(([name, field]) => [
    name, kind(field),
    [required.includes(name) ? "Required." : "", field.description || ""].join(" ").trim(),
  ]);
}

function example(path, method, body) {
  if (method === "get") return `curl ${location.origin}${path}`;
  if (method === "delete") return `curl -X DELETE ${location.origin}${path}`;
  const sent = body ? JSON.stringify({ prompts: "a cat in armor" }) : "{}";
  return `curl ${location.origin}${path} \\\n  -H 'Content-Type: application/json' -d '${sent}'`;
}

function show(spec) {
  schemas = (spec.components || {}).schemas || {};
  document.getElementById("version").textContent = spec.info.version;
  document.getElementById("about").textContent = spec.info.description || "";
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, route] of Object.entries(methods)) {
      const id = `${method}${path}`.replace(/[^a-z0-9]+/gi, "-");
      const item = make("li", undefined, document.getElementById("contents"));
      make("a", `${method.toUpperCase()} ${path}`, item, { href: `#${id}` });
      make("span", ` ${route.summary || ""}`, item);
      const section = make("section", undefined, document.getElementById("routes"));
      const title = make("h2", undefined, section, { id });
      make("b", method.toUpperCase(), title);
      make("span", path, title);
      make("p", route.description || route.summary || "", section);
      const body = route.requestBody && route.requestBody.content["application/json"].schema;
      table("Path", (route.parameters || []).map((one) => [
        one.name, kind(one.schema), one.description || "",
      ]), section);
      if (body) table("Body", fieldsOf(body), section);
      make("pre", undefined, section).append(make("code", example(path, method, body)));
      const answers = Object.entries(route.responses).map(([status, answer]) => [
        status, Object.keys(answer.content || {}).join(", "), answer.description || "",
      ]);
      table("Answers", answers, section);
      const good = Object.entries(route.responses).find(([status]) => status.startsWith("2"));
      const content = good && (good[1].content || {})["application/json"];
      if (content) table("Fields of the answer", fieldsOf(content.schema), section);
    }
  }
  const used = ["Result", "Model", "PictureOfJob"].filter((name) => schemas[name]);
  for (const name of used) table(name, fieldsOf(schemas[name]), document.getElementById("routes"));
}

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(show)
  .catch(() => {
    const problem = document.getElementById("problem");
    problem.textContent = "The description could not be loaded. Is the server still running?";
    problem.hidden = false;
  });
