// The one entry for both hosts: `anywidget.AnyWidget` and `panel.custom.AnyWidgetComponent`.
import { View } from "./view.js";

function render({ model, el }) {
  const view = new View(model, el);
  return () => view.remove();
}

export default { render };
