// Asks the browser for a passkey, or to make one, and sends what it answers with the form of the page.

const form = document.getElementById("passkey");
const says = document.getElementById("passkey-says");

const toBytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function readOptions() {
  const options = JSON.parse(form.dataset.options);
  options.challenge = toBytes(options.challenge);
  if (options.user) options.user.id = toBytes(options.user.id);
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    options[list] = (options[list] ?? []).map((each) => ({ ...each, id: toBytes(each.id) }));
  }
  return options;
}

function writeCredential(credential) {
  const { response } = credential;
  const written = { clientDataJSON: toText(response.clientDataJSON) };
  if (response.attestationObject) {
    written.attestationObject = toText(response.attestationObject);
    written.transports = response.getTransports ? response.getTransports() : [];
  } else {
    written.authenticatorData = toText(response.authenticatorData);
    written.signature = toText(response.signature);
    if (response.userHandle) written.userHandle = toText(response.userHandle);
  }
  return JSON.stringify({ id: credential.id, rawId: toText(credential.rawId), type: credential.type, response: written });
}

async function ask() {
  says.textContent = "Your browser or device asks you now.";
  try {
    if (!window.PublicKeyCredential) throw new DOMException("", "NotSupportedError");
    const publicKey = readOptions();
    const credential =
      form.dataset.kind === "create"
        ? await navigator.credentials.create({ publicKey })
        : await navigator.credentials.get({ publicKey });
    form.elements.credential.value = writeCredential(credential);
    form.submit();
  } catch (error) {
    says.textContent =
      {
        InvalidStateError: "This device has a passkey for this account already.",
        NotSupportedError: "This browser cannot use passkeys.",
        SecurityError: "Passkeys need an address with a name and https, or http://localhost.",
      }[error.name] ?? "No passkey was given. You can try again.";
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
ask();
