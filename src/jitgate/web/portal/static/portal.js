// What pages do for comfort. All of them work without it.
(() => {
  "use strict";
  const root = document.documentElement;
  // The server's clock, whatever the viewer's says.
  const ahead = Date.now() - Date.parse(root.dataset.now);
  const now = () => Date.now() - ahead;
  const each = (selector, act, within = document) => {
    if (within.matches?.(selector)) act(within);
    within.querySelectorAll?.(selector).forEach(act);
  };

  // Of tabs that do not fit, the one that is shown is in sight.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // --- times ---------------------------------------------------------------------------------------------------
  const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

  function relative(seconds) {
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) || ["minute", 60];
    return Math.abs(seconds) < 45 ? ago.format(0, "second") : ago.format(Math.round(seconds / size) || Math.sign(seconds), unit);
  }

  function showTime(element) {
    const at = Date.parse(element.dateTime);
    const isToday = element.dataset.time !== "whole" && new Date(at).toDateString() === new Date(now()).toDateString();
    const isRelative = element.dataset.time === "relative" && Math.abs(at - now()) < 7 * 86400e3;
    element.textContent = isRelative ? relative((at - now()) / 1000) : (isToday ? clock : whole).format(at);
  }

  const pad = (number) => String(number).padStart(2, "0");
  function left(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    return hours ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
  }

  const SOON = 5 * 60e3;
  const told = new Set();
  function tick() {
    each("[data-countdown]", (element) => {
      const rest = Date.parse(element.dateTime) - now();
      element.textContent = left(rest);
      element.classList.toggle("soon", rest < SOON);
      const what = element.dataset.countdown;
      if (what && rest > 0 && rest < SOON && !told.has(what + element.dateTime)) {
        told.add(what + element.dateTime);
        say(`${what} shuts in ${Math.max(1, Math.round(rest / 60e3))} min.`);
      }
    });
    each("progress[data-until]", (element) => {
      const [from, until] = [Date.parse(element.dataset.from), Date.parse(element.dataset.until)];
      element.max = until - from;
      element.value = Math.max(0, until - now());
      element.classList.toggle("soon", until - now() < SOON);
    });
  }

  // --- words at the edge ---------------------------------------------------------------------------------------
  function say(text, tone = "") {
    const list = document.getElementById("toasts");
    const template = document.getElementById("toast");
    if (!list || !template) return;
    const toast = template.content.firstElementChild.cloneNode(true);
    if (tone) toast.classList.add(tone);
    toast.querySelector("p").textContent = text;
    toast.querySelector("button").addEventListener("click", () => toast.remove());
    list.append(toast);
    while (list.children.length > 4) list.firstElementChild.remove();
    setTimeout(() => toast.matches(":hover, :focus-within") || toast.remove(), 8000);
  }
  document.addEventListener("said", (event) => {
    say(event.detail.text, "good");
    finish(event.target);
  });

  // A form that has done its work is closed and emptied, so that the part that it stands in can be brought up to date.
  function finish(form) {
    form.closest("dialog[open]")?.close();
    form.closest("details.opens[open], details.menu[open]")?.removeAttribute("open");
    if (form.contains(document.activeElement)) document.activeElement.blur();
    if (form.matches("form")) form.reset();
  }

  // --- what went wrong on the way ------------------------------------------------------------------------------
  document.addEventListener("htmx:beforeRequest", (event) => {
    const name = event.detail.elt.dataset?.action;
    const place = name && document.getElementById(`problem-${name}`);
    if (place) place.replaceChildren();
  });
  // What was asked for in a small form is done: it closes, and what waited behind it comes up to date.
  document.addEventListener("htmx:afterRequest", (event) => {
    const { successful, requestConfig, elt } = event.detail;
    if (successful && requestConfig.verb !== "get") elt.closest("details.opens[open]")?.removeAttribute("open");
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (xhr.status < 400 || xhr.getResponseHeader("HX-Retarget")) return;
    event.detail.shouldSwap = false;
    if (requestConfig.verb !== "get") say("That did not work: the server has failed. Try again; its log says why.", "bad");
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (event.detail.requestConfig.verb === "get") return;
    say("The server cannot be reached. Whether it was done is not known: load the page again to see.", "bad");
  });

  // --- copying, menus, dialogs, theme --------------------------------------------------------------------------
  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      say("Copied.", "good");
    } catch {
      const line = button.parentElement.querySelector("code");
      if (line) getSelection().selectAllChildren(line);
      say("Your browser does not let pages copy. It is selected: press Ctrl+C.");
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button, a");
    if (button?.dataset.copy !== undefined) copy(button);
    if (button?.dataset.dialog) document.getElementById(button.dataset.dialog)?.showModal();
    if (button?.dataset.closes !== undefined) button.closest("dialog, details")?.[button.closest("dialog") ? "close" : "removeAttribute"]("open");
    each("details.menu[open], details.opens[open]", (menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });
  document.addEventListener("keydown", (event) => {
    const opened = "details.menu[open], details.opens[open]";
    const open = event.target.closest?.(opened) || (event.key === "Escape" && document.querySelector(opened));
    if (!open) return;
    if (event.key === "Escape") {
      open.open = false;
      open.querySelector("summary").focus();
    }
    if (open.matches(".menu") && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      const items = [...open.querySelectorAll(".panel a, .panel button")];
      const at = items.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      items.at(at % items.length)?.focus();
      event.preventDefault();
    }
  });
  document.addEventListener("submit", (event) => {
    const theme = event.target.matches("[data-theme-switch]") ? event.submitter?.value : undefined;
    if (theme === undefined) return;
    event.preventDefault();
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    each("[data-theme-switch] button", (button) => button.setAttribute("aria-pressed", String(button.value === theme)));
    const form = new URLSearchParams(new FormData(event.target, event.submitter));
    fetch(event.target.action, { method: "POST", body: form, redirect: "manual" });
  });

  // --- now, each second, and when parts arrive -----------------------------------------------------------------
  const arrive = (element) => { each("time[data-time]", showTime, element); tick(); };
  arrive(document);
  document.addEventListener("htmx:load", (event) => arrive(event.detail.elt));
  setInterval(tick, 1000);
  setInterval(() => each('time[data-time="relative"]', showTime), 30e3);
})();
