// How formulas are drawn. It runs before MathJax, whose settings Sphinx has put into window.MathJax.
"use strict";

const NARROW = window.innerWidth < 600;

// A long formula in lines, where the screen has no room for it: its parts below each other, or what
// a chain of equations goes on with.
function stacked(tex) {
  const [, formula, tag] = tex.match(/^\\\[(.*?)(\\tag\{[^}]*\}\s*)?\\\]$/s) ?? [];
  if (!formula || formula.includes("\\begin")) return tex;
  let parts = formula.split(/\\q?quad\b/);
  if (parts.length < 2 && formula.length > 70) parts = chain(formula);
  if (parts.length < 2) return tex;
  const lines = parts.map((part) => `& ${part.trim()}`).join(" \\\\[0.5em] ");
  return `\\[\\begin{aligned} ${lines} \\end{aligned} ${tag ?? ""}\\]`;
}

// "a = b = c" as "a = b" and "= c"; an equals sign in brackets is none of the chain.
function chain(formula) {
  const places = [];
  let depth = 0;
  [...formula].forEach((sign, n) => {
    if ("{([".includes(sign)) depth++;
    if ("})]".includes(sign)) depth--;
    if (sign === "=" && depth === 0) places.push(n);
  });
  const ends = [0, ...places.slice(1), formula.length];
  return ends.slice(1).map((end, n) => formula.slice(ends[n], end));
}

// An ex in em at sizes of 6 to 16 pixels: it differs, as x-heights are rounded to pixels.
function exInEm() {
  const probe = document.createElement("span");
  probe.style.cssText = "position: absolute; width: 100ex";
  document.body.append(probe);
  const ratios = Array.from({ length: 41 }, (_, n) => {
    const size = 6 + n / 4;
    probe.style.fontSize = `${size}px`;
    return probe.getBoundingClientRect().width / (100 * size);
  });
  probe.remove();
  return ratios;
}

// How many ex a formula needs. MathJax leaves as much room at its left as its number has at its
// right, which a formula at the left edge does not need.
function widthInEx(formula, pixels) {
  const [table, number] = formula.querySelectorAll("svg[data-table] > g, svg[data-labels] > g");
  if (!number || !NARROW) return parseFloat(formula.style.minWidth || formula.firstChild.getAttribute("width"));
  formula.style.minWidth = formula.firstChild.style.minWidth = 0;
  const width = (part) => part.getBoundingClientRect().width / pixels;
  return width(table) + width(number) + 2;
}

// How wide a formula is, in em: site.css makes its letters smaller where that is too much.
function tellWidths() {
  const ratios = exInEm();
  const largest = Math.max(...ratios);
  for (const formula of document.querySelectorAll("div.math > mjx-container")) {
    const pixels = ratios.at(-1) * parseFloat(getComputedStyle(formula).fontSize);
    formula.style.setProperty("--wide", (widthInEx(formula, pixels) * largest).toFixed(2));
  }
}

if (NARROW) {
  for (const place of document.querySelectorAll("div.math")) {
    place.textContent = stacked(place.textContent.trim());
  }
}
MathJax.svg.displayAlign = NARROW ? "left" : "center";
MathJax.startup = {
  async pageReady() {
    await MathJax.startup.defaultPageReady();
    tellWidths();
  },
};
