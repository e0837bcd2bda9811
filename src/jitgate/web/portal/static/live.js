// The one connection by which the server tells what has happened. htmx's extension keeps it and asks for the parts of
// the page that are out of date; here is what it leaves open: going on after what was heard last, also over a
// connection that was made anew; letting go of it while nobody looks (browsers allow six a server); saying when
// it is lost; and not replacing a part in which somebody is typing.
(() => {
  "use strict";
  let source = null;
  let last = "";
  let lostAt = 0;

  htmx.createEventSource = (address) => {
    // The address that the page names says how far the record was when the page was made.
    source = new EventSource(last ? `${address.split("?")[0]}?after=${last}` : address);
    for (const name of ["access", "machines", "people", "record", "missed", "hello"]) {
      source.addEventListener(name, (event) => { last = event.lastEventId || last; });
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

  // A part that somebody is using waits until they are done. Details whose summary has an id are only read: they are
  // replaced at once, and stay open. (htmx gives the focus back to what has an id.)
  const waiting = new Set();
  const isUsed = (part) =>
    part.querySelector("details[open]:not(:has(> summary[id])), dialog[open]") ||
    (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));
  const beingRead = new Map();

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (!part.matches?.("[data-live]") || event.detail.requestConfig.verb !== "get") return;
    if (isUsed(part)) {
      event.detail.shouldSwap = false;
      waiting.add(part.id);
      return;
    }
    beingRead.set(part.id, [...part.querySelectorAll("details[open] > summary")].map((summary) => summary.id));
  });

  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    for (const id of beingRead.get(detail.target.id) ?? []) {
      document.getElementById(id)?.parentElement.setAttribute("open", "");
    }
    beingRead.delete(detail.target.id);
  });

  // A part is replaced by what is fetched, and with it what htmx would do next: told of something else meanwhile, it is
  // fetched once more. What is told at the same moment is one thing to the server.
  const begun = new WeakMap();
  const toldMeanwhile = new Set();
  document.addEventListener("htmx:beforeRequest", ({ target }) => begun.set(target, performance.now()));
  for (const topic of ["access", "machines", "people", "record", "missed"]) {
    document.addEventListener(`sse:${topic}`, ({ target }) => {
      const isOld = performance.now() - begun.get(target) > 50;
      if (target.matches("[data-live].htmx-request") && isOld) toldMeanwhile.add(target.id);
    });
  }
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { id } = detail.requestConfig.elt;
    if (toldMeanwhile.delete(id)) setTimeout(() => {
      if (document.getElementById(id)) htmx.trigger(`#${id}`, "changed");
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
  for (const name of ["toggle", "close", "focusout"]) document.addEventListener(name, catchUp, true);
})();
