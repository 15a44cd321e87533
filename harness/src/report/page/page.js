"use strict";
// The theme: as the system has it, light, or dark. A browser that keeps nothing for files starts with the first.
(() => {
  const button = document.getElementById("theme");
  const names = { auto: "Auto", light: "Light", dark: "Dark" };
  const kept = () => { try { return localStorage.getItem("harness-theme") } catch { return null } };
  const keep = (theme) => { try { localStorage.setItem("harness-theme", theme) } catch { /* nothing is kept */ } };
  const show = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = names[theme];
    button.setAttribute("aria-label", "Colours: " + names[theme]);
    button.dataset.at = theme;
    document.dispatchEvent(new Event("theme"));
  };
  button.addEventListener("click", () => {
    const order = Object.keys(names);
    const next = order[(order.indexOf(button.dataset.at) + 1) % order.length];
    keep(next);
    show(next);
  });
  show(kept() in names ? kept() : "auto");
})();

document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", async () => {
  const code = button.parentElement.querySelector("code");
  getSelection().selectAllChildren(code);
  try { await navigator.clipboard.writeText(code.textContent); button.textContent = "Copied" }
  catch { button.textContent = "Selected" }
}));
