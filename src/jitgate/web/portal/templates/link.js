const secret = location.hash.slice(1);
if (secret) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.getElementById("link");
  form.elements.link.value = secret;
  form.submit();
}
