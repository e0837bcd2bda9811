// A sign-in link's secret comes behind the "#", which browsers do not send: it is taken out of the address and sent once.
// The link of a notification is no sign-in: it is kept for the page that it leads to, while somebody signs in.
const secret = location.hash.slice(1);
if (secret) history.replaceState(null, "", location.pathname + location.search);
if (secret.startsWith("jga_")) sessionStorage.setItem("jitgate-approve", secret);
else if (secret) {
  const form = document.getElementById("link");
  form.elements.link.value = secret;
  form.submit();
}
