export const at = (id) => document.getElementById(id);

/* `element("li", "note", "text", child, ...)`: a class name, then texts and elements. */
export function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/* Text is written only where it changed: writing costs a layout. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function writeFacts(list, facts) {
  const terms = Object.entries(facts).flatMap(([term, value]) => {
    const said = element("dd", "", value);
    said.title = value;
    return [element("dt", "", term), said];
  });
  list.replaceChildren(...terms);
}

/* A checkbox or radio button that looks like a chip. */
export function choice(type, name, value, label, checked) {
  const input = Object.assign(element("input"), { type, name, value, checked });
  return element("label", "chip", input, element("span", "", label));
}
