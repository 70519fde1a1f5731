// Bars that move by themselves. Without scripts the page looks again every few seconds.
const PAUSE = 2000; // ms

export function watchProgress() {
  for (const box of document.querySelectorAll("[data-progress-url]")) watch(box);
}

function watch(box) {
  const bar = box.querySelector("progress");
  const sentence = box.querySelector("[data-progress-words]");
  const { progressState: state, progressStep: step } = box.dataset;

  async function look() {
    let next;
    try {
      const answer = await fetch(box.dataset.progressUrl, { headers: { Accept: "application/json" } });
      if (answer.redirected || !answer.ok) return; // signed out, or gone
      next = await answer.json();
    } catch {
      setTimeout(look, 5 * PAUSE); // the server is away for a moment
      return;
    }
    bar.max = next.total || 1;
    bar.value = next.done;
    if (sentence.textContent !== next.words) sentence.textContent = next.words; // a reader hears what is new
    if (next.state !== state || next.step !== step) location.reload();
    else setTimeout(look, PAUSE);
  }
  setTimeout(look, PAUSE);
}
