"use strict";

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function fields(schema, api) {
  const found = schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;
  return Object.entries(found.properties || {}).map(([name, field]) => {
    const kind = field.type || (field.anyOf || []).map((one) => one.type).join(" or ");
    const needed = (found.required || []).includes(name) ? "required" : "optional";
    return `${name}: ${kind}, ${needed}`;
  });
}

async function tryIt(path, out) {
  const answer = await fetch(path);
  const text = await answer.text();
  out.textContent = `${answer.status}  ${text.slice(0, 4000)}`;
}

function card(path, method, operation, api) {
  const box = element("section", undefined, "card");
  const title = element("div", undefined, "row head");
  const name = element("div");
  name.append(element("span", method.toUpperCase(), "method"), element("code", path));
  title.append(name);
  box.append(title, element("p", operation.description || operation.summary || ""));
  const body = operation.requestBody?.content["application/json"]?.schema;
  if (body) fields(body, api).forEach((line) => box.append(element("div", line, "empty")));
  if (method === "get" && !path.includes("{")) {
    const button = element("button", "Try it", "plain");
    const out = element("p", undefined, "output");
    button.addEventListener("click", () => tryIt(path, out));
    title.append(button);
    box.append(out);
  }
  return box;
}

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      document.getElementById("operations").append(card(path, method, operation, api));
    }
  }
}

start();
