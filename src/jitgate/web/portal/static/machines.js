// Marking machines: how many there are on the buttons, all at once, and none forgotten when the list comes anew.
// A right click on a row opens its menu. The page works without.
(() => {
  "use strict";
  const boxes = () => [...document.querySelectorAll('input[type="checkbox"][name="machine"]')];
  const marked = new Set();

  function tell() {
    const all = document.querySelector("[data-mark-all]");
    const here = boxes().filter((box) => box.checked).length;
    if (all) {
      all.hidden = false;
      all.checked = here > 0 && here === boxes().length;
      all.indeterminate = here > 0 && here < boxes().length;
    }
    document.querySelectorAll("[data-chosen] [data-many]").forEach((button) => {
      const { one, many, label } = button.dataset;
      button.querySelector("span").textContent = here === 0 ? label : here === 1 ? one : many.replace("#", here);
      button.disabled = here === 0;
    });
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches?.("[data-mark-all]")) boxes().forEach((each) => { each.checked = box.checked; note(each); });
    if (box.name === "machine") note(box);
    tell();
  });
  const note = (box) => (box.checked ? marked.add(box.value) : marked.delete(box.value));

  document.addEventListener("htmx:load", () => {
    boxes().forEach((box) => { box.checked = marked.has(box.value); });
    tell();
  });
  document.addEventListener("contextmenu", (event) => {
    const row = event.target.closest("tr[data-menu]");
    const menu = row?.querySelector("details.menu");
    if (!menu || event.target.closest("a, input, .panel") || getSelection().toString()) return;
    event.preventDefault();
    document.querySelectorAll("details.menu[open]").forEach((other) => { other.open = false; });
    menu.open = true;
    menu.querySelector(".panel a, .panel button")?.focus();
  });
  boxes().forEach(note);
  tell();
})();
