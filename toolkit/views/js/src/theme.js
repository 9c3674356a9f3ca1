// Light or dark: JupyterLab says so on its body, elsewhere the system does.

/** Return the name of the theme that the page now has. */
export function themeName() {
  const jupyter = document.body.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "true" ? "light" : "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Call `change(name)` whenever the theme changes; returns what ends that. */
export function followTheme(change) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const tell = () => change(themeName());
  const observer = new MutationObserver(tell);
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", tell);
  return () => {
    observer.disconnect();
    system.removeEventListener("change", tell);
  };
}

/** Return a colour with an alpha from 0 to 1. */
export function fade(colour, alpha) {
  return colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
}
