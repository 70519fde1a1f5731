// How long a time is still kept: seconds for the eye, a few sentences for the ear.
const NEWS = new Map([[120, "Two minutes left."], [60, "One minute left."], [20, "20 seconds left."]]);
const OVER = "We do not keep this time any more. It may still be free: you can try to book it.";

export function watchCountdown() {
  const kept = document.querySelector("[data-countdown]");
  if (!kept) return;
  const seconds = kept.querySelector(".countdown");
  const news = document.querySelector("[data-countdown-news]");
  const end = performance.now() + Number(kept.dataset.countdown) * 1000; // no matter how this device's clock is set
  seconds.hidden = false;
  let told = Infinity;

  function tick() {
    const left = Math.ceil((end - performance.now()) / 1000);
    if (left <= 0) {
      kept.textContent = news.textContent = kept.dataset.countdownOver || OVER;
      return;
    }
    seconds.textContent = `${clock(left)} left`;
    for (const [at, sentence] of NEWS) {
      if (left <= at && at < told && left > at - 5) {
        news.textContent = sentence;
        told = at;
      }
    }
    setTimeout(tick, 1000);
  }
  tick();
}

function clock(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
