// How formulas are drawn. It runs before MathJax, whose settings Sphinx has put into window.MathJax.
"use strict";

const NARROW = window.innerWidth < 600;

// The parts of a long formula below each other, where the screen has no room beside each other.
function stacked(tex) {
  const [, formula, tag] = tex.match(/^\\\[(.*?)(\\tag\{[^}]*\}\s*)?\\\]$/s) ?? [];
  const parts = formula?.split(/\\q?quad\b/) ?? [];
  if (parts.length < 2 || formula.includes("\\begin")) return tex;
  const lines = parts.map((part) => `& ${part.trim()}`).join(" \\\\ ");
  return `\\[\\begin{aligned} ${lines} \\end{aligned} ${tag ?? ""}\\]`;
}

// An ex in em. It differs from size to size, as x-heights are rounded to pixels: the largest.
function exInEm() {
  const probe = document.createElement("span");
  probe.style.cssText = "position: absolute; width: 100ex";
  document.body.append(probe);
  const ratios = Array.from({ length: 40 }, (_, n) => {
    const size = 6 + n / 4;
    probe.style.fontSize = `${size}px`;
    return probe.getBoundingClientRect().width / (100 * size);
  });
  probe.remove();
  return Math.max(...ratios);
}

// How wide a formula is, in em: site.css makes its letters smaller where that is too much.
function tellWidths() {
  const ratio = exInEm();
  for (const formula of document.querySelectorAll("div.math > mjx-container")) {
    const ex = parseFloat(formula.style.minWidth || formula.firstChild.getAttribute("width"));
    formula.style.setProperty("--wide", (ex * ratio).toFixed(2));
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
