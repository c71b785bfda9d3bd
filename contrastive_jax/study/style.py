"""How a page looks, in light and in dark, and the script that sorts its tables."""

CSS = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b6067; --ground: #fff;
  --panel: #f5f6f7; --rule: #d5d8dc; --accent: #00568c; --bad: #a8321c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7e9; --soft: #a3a8af; --ground: #15171a; --panel: #1e2125;
    --rule: #3a3f45; --accent: #7cc0ee; --bad: #ff9a82; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem clamp(0.8rem, 3vw, 2.5rem) 4rem; max-width: 76rem;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--ground); }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.4rem 0; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.6rem; padding-top: 0.7rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 0.4rem; }
h1, h2, h3, p, li { overflow-wrap: anywhere; }
p.note, figcaption { color: var(--soft); font-size: 0.86rem; max-width: 46rem; margin: 0.4rem 0; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; margin: 0.8rem 0; }
a { color: var(--accent); }
.scroll { overflow-x: auto; max-width: 100%; }
.tall { max-height: 44rem; overflow-y: auto; width: fit-content;
  border-bottom: 1px solid var(--rule); }
.tall thead th { position: sticky; top: 0; }
@media print { .tall { max-height: none; } }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.28rem 0.7rem; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: middle; white-space: nowrap; }
td.long { white-space: normal; min-width: 14rem; max-width: 26rem; overflow-wrap: anywhere; }
th { background: var(--panel); font-weight: 600; }
th.number, td.number { text-align: right; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tbody tr:hover { background: var(--panel); }
td small { display: block; white-space: normal; min-width: 9rem; max-width: 16rem;
  color: var(--soft); }
.bad { color: var(--bad); font-weight: 600; }
.facts { display: flex; flex-wrap: wrap; gap: 0.3rem 2rem; margin: 0.8rem 0; padding: 0; }
.facts div { min-width: 7rem; }
.facts dt { color: var(--soft); font-size: 0.8rem; }
.facts dd { margin: 0; font-size: 1.05rem; }
figure { margin: 1rem 0; }
.plots { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; }
.plots figure { margin: 0.4rem 0; max-width: 100%; }
svg { display: block; height: auto; }
svg.spark { width: 96px; height: 26px; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre { background: var(--panel); padding: 0.7rem; overflow-x: auto; font-size: 0.82rem; }
"""

# A click on a head sorts by its column: numbers by value, words by letters, what is absent last.
SORT = """
const key = (row, i) => {
  const text = row.cells[i].textContent.trim();
  const found = text.match(/^[+-]?[\\d,]*\\.?\\d+(e[+-]?\\d+)?/i);
  return text === "-" || text === "" ? null : found ? Number(found[0].replace(/,/g, "")) : text;
};
const compare = (a, b) => a === null || b === null ? (a === null) - (b === null)
  : typeof a === "number" && typeof b === "number" ? a - b
  : String(a).localeCompare(String(b));
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  if (body.rows.length < 2) continue;
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map(row => [key(row, i), row]);
      rows.sort(([a], [b]) => a === null || b === null || up ? compare(a, b) : compare(b, a));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
"""
