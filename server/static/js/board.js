// The board works without this: here the line of the present moves, and arrow keys go from card to card.

const MINUTES_A_ROW = 5;
const board = document.querySelector("[data-board]");

if (board?.dataset.start) {
  const line = board.querySelector(".now-line");
  const start = Number(board.dataset.start);
  const rows = Number(getComputedStyle(board).getPropertyValue("--rows"));
  const follow = () => {
    const now = (Date.now() / 1000 - start) / 60 / MINUTES_A_ROW;
    line.hidden = now < 0 || now > rows;
    board.style.setProperty("--now", now.toFixed(2));
  };
  follow();
  setInterval(follow, 30_000);
  if (!line.hidden) board.scrollTop = line.offsetTop - board.clientHeight / 3;
}

// Arrow keys go to the nearest card or free time in that direction; Tab still goes through all of them.
board?.addEventListener("keydown", (event) => {
  const links = [...board.querySelectorAll("a")];
  const from = document.activeElement;
  if (!event.key.startsWith("Arrow") || !links.includes(from) || event.altKey || event.ctrlKey || event.metaKey) return;
  const here = from.getBoundingClientRect();
  const column = from.closest(".column");
  const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
  const sign = event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1;
  let near = null;
  let nearest = Infinity;
  for (const link of links) {
    if ((link.closest(".column") === column) === sideways) continue;
    const there = link.getBoundingClientRect();
    const across = (there.left - here.left) * sign;
    const along = (there.top - here.top) * sign;
    if (sideways ? across <= 0 : along <= 0) continue;
    const distance = sideways ? across * 100 + Math.abs(there.top - here.top) : along;
    if (distance < nearest) [near, nearest] = [link, distance];
  }
  if (!near) return;
  event.preventDefault();
  near.focus();
});
