// Equations shown where their numbers are pointed at, and tables that can be sorted.
"use strict";

// found passages are fetched, which no browser does from a file
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

const preview = document.createElement("div");
preview.className = "equation-preview";
preview.hidden = true;
let shown = null; // the link whose equation is to be seen
let shownBefore = null; // and when a finger came down

function labelOf(link) {
  return link.textContent.trim();
}

async function showEquation(link) {
  const equation = EQUATIONS[labelOf(link)];
  if (!equation || !window.MathJax?.tex2svgPromise) return;
  const drawn = await MathJax.tex2svgPromise(equation.tex, { display: true });
  preview.replaceChildren(drawn);
  shown = link;
  preview.hidden = false;
  drawn.style.fontSize = `${Math.min(100, (100 * preview.clientWidth) / preview.scrollWidth)}%`;
  const place = link.getBoundingClientRect();
  const left = Math.min(place.left, document.documentElement.clientWidth - preview.offsetWidth - 8);
  preview.style.left = `${Math.max(8, left) + scrollX}px`;
  preview.style.top = `${place.bottom + scrollY + 6}px`;
}

function hideEquation() {
  preview.hidden = true;
  shown = null;
}

// A finger has no way to point: the first tap shows the equation, the second one follows the link.
function tapped(event) {
  if (event.pointerType !== "touch" || shownBefore === event.currentTarget) return;
  event.preventDefault();
  showEquation(event.currentTarget);
}

function sortTable(table, column, button) {
  const rows = [...table.tBodies[0].rows];
  const up = button.dataset.order !== "up";
  const value = (row) => {
    const text = row.cells[column]?.textContent.trim() ?? "";
    const number = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(number) ? text : number;
  };
  rows.sort((m, n) => {
    const [a, b] = [value(m), value(n)];
    if (a === "" || b === "") return (a === "") - (b === ""); // blanks last, up and down
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(b);
    return up ? order : -order;
  });
  table.tBodies[0].append(...rows);
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  button.closest("th").setAttribute("aria-sort", up ? "ascending" : "descending");
  button.dataset.order = up ? "up" : "down";
}

// On a phone the letters of a drawing are small: a tap shows it in its own size, in a box that can
// be moved sideways.
function makeLarger(image) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "zoom", ariaExpanded: "false" });
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => {
    button.ariaExpanded = String(button.classList.toggle("zoomed"));
  });
}

// Paper is white, whatever the screen is.
let theme;
// late images come once the page stands: some browsers print those that are still missing as gaps
addEventListener("load", () => {
  for (const image of document.images) image.loading = "eager";
});

addEventListener("beforeprint", () => {
  theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
addEventListener("afterprint", () => (document.documentElement.dataset.theme = theme));

document.addEventListener("DOMContentLoaded", () => {
  document.body.append(preview);
  for (const link of document.querySelectorAll("a.equation")) {
    link.addEventListener("mouseenter", () => showEquation(link));
    link.addEventListener("focus", () => showEquation(link));
    link.addEventListener("mouseleave", hideEquation);
    link.addEventListener("blur", hideEquation);
    link.addEventListener("pointerdown", () => (shownBefore = shown));
    link.addEventListener("click", tapped);
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hideEquation());
  const drawn = "article :is(.cell_output, figure) img";
  if (innerWidth < 600) document.querySelectorAll(drawn).forEach(makeLarger);
  if (!/\/results\.html$/.test(location.pathname)) return;
  for (const table of document.querySelectorAll("table")) {
    [...table.querySelectorAll("thead th")].forEach((cell, column) => {
      if (!cell.textContent.trim()) return; // a column without a name has no button
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...cell.childNodes);
      button.addEventListener("click", () => sortTable(table, column, button));
      cell.append(button);
    });
  }
});
