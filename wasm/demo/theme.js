// Dark or light: the system's choice until the user makes one.

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: light)");

function apply(theme, button) {
  root.dataset.theme = theme;
  button.setAttribute("aria-pressed", String(theme === "light"));
  button.textContent = theme === "light" ? "Dark" : "Light";
  button.setAttribute("aria-label", theme === "light" ? "Switch to dark" : "Switch to light");
}

/** Makes `button` the switch. */
export function themed(button) {
  apply(system.matches ? "light" : "dark", button);
  system.addEventListener("change", () => apply(system.matches ? "light" : "dark", button));
  button.addEventListener("click", () => apply(root.dataset.theme === "light" ? "dark" : "light", button));
}
