// Request access: what would happen is asked for while the form is filled in, by the decision that would be made.
(() => {
  "use strict";
  const form = document.getElementById("ask");
  if (!form) return;
  const words = (minutes) => {
    const [hours, rest] = [Math.floor(minutes / 60) % 24, minutes % 60];
    const days = Math.floor(minutes / 1440);
    const parts = [[days, "day"], [hours, "hour"], [rest, "minute"]].filter(([count]) => count);
    return parts.map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`).join(" ");
  };
  function say(slider) {
    form.querySelector(`output[for="${slider.id}"]`).textContent = words(Number(slider.value));
    slider.setAttribute("aria-valuetext", words(Number(slider.value)));
  }
  // A port that gets its own source and time begins with those for all.
  function begin(suffix) {
    for (const name of ["source", "ranges", "minutes"]) form.elements[name + suffix].value = form.elements[name].value;
    say(form.elements[`minutes${suffix}`]);
  }
  let waiting = 0;
  let latest = 0;
  async function check() {
    const mine = ++latest;
    try {
      const answer = await fetch(document.getElementById("outcome").dataset.check, {
        method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "error",
      });
      if (mine !== latest) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [fresh, old] = [page.getElementById("outcome"), document.getElementById("outcome")];
      if (!fresh) return;
      const hadFocus = old.contains(document.activeElement) ? document.activeElement.id : "";
      old.replaceChildren(...fresh.childNodes);
      if (hadFocus) document.getElementById(hadFocus)?.focus();
    } catch { /* It is asked again with the next change; pressing the button says what is wrong. */ }
  }
  form.addEventListener("input", (event) => {
    const { target } = event;
    // Who types ranges means them.
    if (target.matches(".typed")) {
      const choice = target.closest(".own-fields, fieldset").querySelector("select, .by-ranges");
      if (choice.matches("select")) choice.value = "ranges";
      else choice.checked = true;
    }
    if (target.matches(".has-own:checked")) begin(target.name.slice("own".length));
    if (target.type === "range") say(target);
    clearTimeout(waiting);
    waiting = setTimeout(check, 200);
  });
  form.addEventListener("submit", (event) => event.submitter?.classList.add("htmx-request"));
})();
