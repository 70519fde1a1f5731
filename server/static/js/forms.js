// Filters that apply themselves, forms that go off once, and errors that are read first.

// Only after a pointer: arrow keys change a list at every step, and somebody with a keyboard has the button.
export function submitFilters() {
  for (const form of document.querySelectorAll("form[data-autosubmit]")) {
    let byPointer = false;
    form.addEventListener("pointerdown", () => { byPointer = true; });
    form.addEventListener("keydown", () => { byPointer = false; });
    form.addEventListener("change", () => { if (byPointer) form.requestSubmit(); });
  }
}

// A second press while the first is under way does nothing.
export function guardForms() {
  for (const form of document.querySelectorAll('form[method="post"]')) {
    form.addEventListener("submit", (event) => {
      if (event.submitter?.formTarget) return; // its answer is shown in a frame, and this page stays
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  }
  // The page may come back from the browser's memory, and is then a fresh one.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  });
}

export function showErrors() {
  document.querySelector(".error-summary")?.focus();
}
