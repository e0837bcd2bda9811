// The one connection by which the server tells what has happened. htmx's extension keeps it and asks for the parts of
// the page that are out of date; here is what it leaves open: going on after what was heard last, also over a
// connection that was made anew; letting go of it while nobody looks (browsers allow six a server); saying when
// it is lost; and taking nothing from who is at work in a part.
(() => {
  "use strict";
  let source = null;
  let last = "";
  let lostAt = 0;
  const told = new Map();

  htmx.createEventSource = (address) => {
    // The address that the page names says how far the record was when the page was made.
    source = new EventSource(last ? `${address.split("?")[0]}?after=${last}` : address);
    for (const name of ["access", "machines", "people", "record", "missed", "hello"]) {
      source.addEventListener(name, (event) => {
        last = event.lastEventId || last;
        told.set(name, Number(last));
      });
    }
    source.addEventListener("hello", connected);
    if (document.hidden) source.close();
    return source;
  };

  function connected() {
    const wasLost = lostAt > 0;
    lostAt = 0;
    show(false);
    if (wasLost) document.body.dispatchEvent(new Event("changed"));
  }

  function show(isLost) {
    const sign = document.getElementById("offline");
    if (sign) sign.hidden = !isLost;
  }

  document.addEventListener("htmx:sseError", () => {
    if (document.hidden) return;
    lostAt ||= Date.now();
    setTimeout(() => { if (lostAt && Date.now() - lostAt >= 2500) show(true); }, 2600);
  });

  // The session is over: what is asked for next leads to the sign-in page.
  document.addEventListener("htmx:sseClose", (event) => {
    if (event.detail.type === "message") document.body.dispatchEvent(new Event("changed"));
  });

  document.addEventListener("visibilitychange", () => {
    if (!source) return;
    if (document.hidden) {
      source.close();
    } else if (source.readyState === EventSource.CLOSED) {
      lostAt ||= Date.now();
      source.dispatchEvent(new Event("error"));
    }
  });

  // A part that somebody is using waits until they are done: a form or a question is open in it, the caret is in a field, a
  // button is being pressed, or what was sent is under way. What else somebody has of it goes over into the fresh part:
  // details that are only read (their summary has an id) stay open, and what was typed, and what was said of it, stays.
  // (htmx gives the focus back to what has an id.)
  const waiting = new Set();
  let pressed = null;
  const isUsed = (part) =>
    part.querySelector("details[open]:not(:has(> summary[id])), dialog[open], form.htmx-request") ||
    part.contains(pressed) ||
    (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));
  const kept = new Map();

  const FIELDS = "input:not([type=checkbox], [type=radio], [type=hidden]), select, textarea";
  const chosen = (select) => ([...select.options].find((one) => one.defaultSelected) ?? select.options[0])?.value;
  const isTyped = (field) => field.value !== (field.matches("select") ? chosen(field) : field.defaultValue);
  const keep = (part) => ({
    open: [...part.querySelectorAll("details[open] > summary")].map((summary) => summary.id),
    typed: [...part.querySelectorAll(FIELDS)].filter(isTyped),
    said: [...part.querySelectorAll(".problem-here:not(:empty)")],
  });

  function giveBack({ open, typed, said }) {
    for (const id of open) document.getElementById(id)?.parentElement.setAttribute("open", "");
    for (const { id, value } of typed) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    for (const problem of said) document.getElementById(problem.id)?.replaceChildren(...problem.childNodes);
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (!part.matches?.("[data-live]") || event.detail.requestConfig.verb !== "get") return;
    if (isUsed(part)) {
      event.detail.shouldSwap = false;
      waiting.add(part.id);
      return;
    }
    kept.set(part.id, keep(part));
  });

  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (kept.has(detail.target.id)) giveBack(kept.get(detail.target.id));
    kept.delete(detail.target.id);
  });

  // A part is replaced by what is fetched, and with it what htmx would do next; and a fresh one hears nothing for a moment.
  // What was told after it was asked for may not be in it: then it is fetched once more.
  const begun = new Map();
  const topics = (part) => [...part.getAttribute("hx-trigger").matchAll(/sse:(\w+)/g)].map(([, topic]) => topic);
  document.addEventListener("htmx:beforeRequest", ({ target }) => begun.set(target.id, Number(last)));
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { id } = detail.requestConfig.elt;
    setTimeout(() => {
      const part = document.getElementById(id);
      const isOld = part?.matches("[data-live]") && topics(part).some((topic) => told.get(topic) > begun.get(id));
      if (isOld) htmx.trigger(part, "changed");
    }, 50);
  });

  function catchUp() {
    setTimeout(() => {
      for (const id of waiting) {
        const part = document.getElementById(id);
        if (part && isUsed(part)) continue;
        waiting.delete(id);
        if (part) htmx.trigger(part, "changed");
      }
    }, 50);
  }
  document.addEventListener("pointerdown", ({ button, target }) => { if (button === 0) pressed = target; }, true);
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => { pressed = null; catchUp(); }, true);
  }
  for (const name of ["toggle", "close", "focusout", "htmx:afterRequest"]) document.addEventListener(name, catchUp, true);
})();
