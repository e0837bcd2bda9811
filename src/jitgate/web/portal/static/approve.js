// The link of a notification stands behind the "#", which browsers do not send: taken out of the address, and handed on.
(() => {
  "use strict";
  const KEPT = "jitgate-approve";
  const link = location.hash.slice(1) || sessionStorage.getItem(KEPT) || "";
  sessionStorage.removeItem(KEPT);
  if (!link.startsWith("jga_")) return;
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.getElementById("approve");
  form.elements.link.value = link;
  form.submit();
})();
