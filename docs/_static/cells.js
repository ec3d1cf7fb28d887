// The three cells with one unit and one input: drag a number and see what becomes of it, forward
// (above, in a box) and backward (below, the gradient). One line an equation, as in the lessons.
"use strict";

const sigma = (a) => 1 / (1 + Math.exp(-a));

// A cell: its numbers with their first values; `forward` gives every quantity from them; `backward`
// gives the gradient of each from those that come in; `boxes` says where a quantity is drawn and
// what it is made of.
const CELLS = {
  rnn: {
    inputs: { x: 0.8, h_prev: 0.5, Wx: 1.2, Wh: 0.9, b: 0 },
    gradients: { dh: 1 },
    forward({ x, h_prev, Wx, Wh, b }) {
      const a = x * Wx + h_prev * Wh + b; // (RNN.1)
      const h = Math.tanh(a); // (RNN.2)
      return { a, h };
    },
    backward({ x, h_prev, Wx, Wh, h }, { dh }) {
      const da = dh * (1 - h ** 2); // (RNN.3)
      return {
        h: dh, a: da,
        x: da * Wx, // (RNN.4)
        h_prev: da * Wh, // (RNN.5)
        Wx: x * da, // (RNN.6)
        Wh: h_prev * da, // (RNN.7)
        b: da, // (RNN.8)
      };
    },
    height: 210,
    boxes: {
      h_prev: [70, 50], x: [70, 160], a: [290, 105, "h_prev", "x"], h: [510, 105, "a"],
    },
  },
  lstm: {
    inputs: {
      x: 0.8, h_prev: 0.3, c_prev: 0.6,
      Wx_i: 1, Wx_f: 0.5, Wx_o: 0.8, Wx_g: 1.2, Wh_i: 0.5, Wh_f: 0.3, Wh_o: 0.4, Wh_g: 0.6,
      b_i: 0, b_f: 1, b_o: 0, b_g: 0,
    },
    gradients: { dh: 1, dc_next: 0 },
    forward({ x, h_prev, c_prev, Wx_i, Wx_f, Wx_o, Wx_g, Wh_i, Wh_f, Wh_o, Wh_g, b_i, b_f, b_o, b_g }) {
      const a_i = x * Wx_i + h_prev * Wh_i + b_i; // (LSTM.1)
      const a_f = x * Wx_f + h_prev * Wh_f + b_f; // (LSTM.1)
      const a_o = x * Wx_o + h_prev * Wh_o + b_o; // (LSTM.1)
      const a_g = x * Wx_g + h_prev * Wh_g + b_g; // (LSTM.1)
      const i = sigma(a_i); // (LSTM.2)
      const f = sigma(a_f); // (LSTM.3)
      const o = sigma(a_o); // (LSTM.4)
      const g = Math.tanh(a_g); // (LSTM.5)
      const c = f * c_prev + i * g; // (LSTM.6)
      const u = Math.tanh(c); // (LSTM.7)
      const h = o * u; // (LSTM.8)
      return { a_i, a_f, a_o, a_g, i, f, o, g, c, u, h };
    },
    backward(v, { dh, dc_next }) {
      const o = dh * v.u; // (LSTM.9)
      const u = dh * v.o; // (LSTM.10)
      const c = dc_next + u * (1 - v.u ** 2); // (LSTM.11)
      const f = c * v.c_prev; // (LSTM.12)
      const c_prev = c * v.f; // (LSTM.13)
      const i = c * v.g; // (LSTM.14)
      const g = c * v.i; // (LSTM.15)
      const a_i = i * v.i * (1 - v.i); // (LSTM.16)
      const a_f = f * v.f * (1 - v.f); // (LSTM.17)
      const a_o = o * v.o * (1 - v.o); // (LSTM.18)
      const a_g = g * (1 - v.g ** 2); // (LSTM.19)
      const a = { i: a_i, f: a_f, o: a_o, g: a_g };
      const found = { h: dh, o, u, c, f, c_prev, i, g, a_i, a_f, a_o, a_g, x: 0, h_prev: 0 };
      for (const gate of "ifog") {
        found.x += a[gate] * v[`Wx_${gate}`]; // (LSTM.20)
        found.h_prev += a[gate] * v[`Wh_${gate}`]; // (LSTM.21)
        found[`Wx_${gate}`] = v.x * a[gate]; // (LSTM.22)
        found[`Wh_${gate}`] = v.h_prev * a[gate]; // (LSTM.23)
        found[`b_${gate}`] = a[gate]; // (LSTM.24)
      }
      return found;
    },
    height: 400,
    boxes: {
      c_prev: [60, 50], h_prev: [60, 210], x: [60, 330],
      f: [210, 130, "h_prev", "x"], i: [210, 200, "h_prev", "x"], g: [210, 270, "h_prev", "x"], o: [210, 345, "h_prev", "x"],
      c: [360, 50, "c_prev", "f", "i", "g"], u: [460, 180, "c"], h: [570, 345, "o", "u"],
    },
  },
  gru: {
    inputs: {
      x: 0.8, h_prev: 0.5, Wx_z: 0.5, Wx_r: 0.8, Wh_z: 0.6, Wh_r: 0.4, b_z: 0, b_r: 0, Wxi: 1.2, Whi: 0.9, bi: 0,
    },
    gradients: { dh: 1 },
    forward({ x, h_prev, Wx_z, Wx_r, Wh_z, Wh_r, b_z, b_r, Wxi, Whi, bi }) {
      const a_z = x * Wx_z + h_prev * Wh_z + b_z; // (GRU.1)
      const a_r = x * Wx_r + h_prev * Wh_r + b_r; // (GRU.1)
      const z = sigma(a_z); // (GRU.2)
      const r = sigma(a_r); // (GRU.3)
      const rh = r * h_prev; // (GRU.4)
      const ai = x * Wxi + rh * Whi + bi; // (GRU.5)
      const n = Math.tanh(ai); // (GRU.6)
      const h = z * h_prev + (1 - z) * n; // (GRU.7)
      return { a_z, a_r, z, r, rh, ai, n, h };
    },
    backward(v, { dh }) {
      const z = dh * (v.h_prev - v.n); // (GRU.8)
      const n = dh * (1 - v.z); // (GRU.9)
      const ai = n * (1 - v.n ** 2); // (GRU.10)
      const rh = ai * v.Whi; // (GRU.11)
      const r = rh * v.h_prev; // (GRU.12)
      const a_z = z * v.z * (1 - v.z); // (GRU.14)
      const a_r = r * v.r * (1 - v.r); // (GRU.15)
      return {
        h: dh, z, n, ai, rh, r, a_z, a_r,
        x: a_z * v.Wx_z + a_r * v.Wx_r + ai * v.Wxi, // (GRU.16)
        h_prev: dh * v.z + rh * v.r + a_z * v.Wh_z + a_r * v.Wh_r, // (GRU.13), (GRU.17)
        Wx_z: v.x * a_z, Wx_r: v.x * a_r, // (GRU.18)
        Wh_z: v.h_prev * a_z, Wh_r: v.h_prev * a_r, // (GRU.19)
        b_z: a_z, b_r: a_r, // (GRU.20)
        Wxi: v.x * ai, // (GRU.21)
        Whi: v.rh * ai, // (GRU.22)
        bi: ai, // (GRU.23)
      };
    },
    height: 360,
    boxes: {
      h_prev: [60, 60], x: [60, 300], z: [210, 130, "h_prev", "x"], r: [210, 215, "h_prev", "x"],
      rh: [330, 215, "h_prev", "r"], n: [440, 290, "rh", "x"], h: [570, 60, "h_prev", "z", "n"],
    },
  },
};

// Every quantity of a cell, and every gradient, for the numbers `given` (those missing as above).
function compute(cell, given = {}) {
  const { inputs, gradients, forward, backward } = CELLS[cell];
  const start = { ...inputs, ...gradients, ...given };
  const values = { ...start, ...forward(start) };
  return { values, gradients: backward(values, start) };
}

const SVG = "http://www.w3.org/2000/svg";
const WIDE = { width: 640, box: { width: 108, height: 46 } };
const NARROW = { width: 390, box: { width: 62, height: 62 } }; // a phone, with letters of its size

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

class Cell {
  constructor(place, name) {
    this.name = name;
    this.cell = CELLS[name];
    this.given = { ...this.cell.inputs, ...this.cell.gradients };
    this.drawing = element("svg", { role: "img" });
    const sliders = document.createElement("div");
    sliders.className = "cell-sliders";
    for (const key of Object.keys(this.given)) sliders.append(this.slider(key));
    place.replaceChildren(this.drawing, sliders);
    addEventListener("resize", () => this.draw());
    this.draw();
  }

  slider(key) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: -3, max: 3, step: 0.05, value: this.given[key] });
    input.ariaLabel = key;
    const output = document.createElement("output");
    output.ariaLive = "off"; // all gradients change at once: only that of this slider is read out
    input.addEventListener("input", () => {
      this.given[key] = Number(input.value);
      this.draw();
    });
    label.append(`${key} `, input, output);
    (this.sliders ??= {})[key] = { input, output };
    return label;
  }

  draw() {
    const { values, gradients } = compute(this.name, this.given);
    const number = (n) => n.toFixed(2).replace("-", "−");
    const narrow = this.drawing.clientWidth < 500;
    const { width, box } = narrow ? NARROW : WIDE;
    const across = (x) => (x * width) / WIDE.width;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${this.cell.height}`);
    this.drawing.replaceChildren();
    const told = [];
    for (const [x, y, ...from] of Object.values(this.cell.boxes)) {
      for (const source of from) {
        const [x0, y0] = this.cell.boxes[source];
        const ends = { x1: across(x0) + box.width / 2, y1: y0, x2: across(x) - box.width / 2, y2: y };
        const thick = 1 + 5 * Math.min(1, Math.abs(gradients[source]));
        this.drawing.append(element("line", { ...ends, class: "cell-edge", "stroke-width": thick }));
      }
    }
    for (const [key, [left, y]] of Object.entries(this.cell.boxes)) {
      const x = across(left);
      const corner = { x: x - box.width / 2, y: y - box.height / 2 };
      const value = number(values[key]);
      const lines = narrow ? [key, value] : [`${key} = ${value}`];
      this.drawing.append(element("rect", { ...corner, ...box, rx: 5, class: "cell-box" }));
      lines.forEach((line, n) => {
        const place = { x, y: corner.y + 18 * (n + 1), class: "cell-value" };
        this.drawing.append(element("text", place, line));
      });
      const below = { x, y: corner.y + box.height - 8, class: "cell-gradient" };
      this.drawing.append(element("text", below, `∂ ${number(gradients[key])}`));
      told.push(`${key} ${number(values[key])}, gradient ${number(gradients[key])}`);
    }
    this.drawing.setAttribute("aria-label", told.join("; "));
    for (const [key, { input, output }] of Object.entries(this.sliders)) {
      const gradient = key in gradients ? number(gradients[key]) : null;
      output.value = number(this.given[key]) + (gradient ? `, ∂ ${gradient}` : "");
      input.ariaValueText = number(this.given[key]) + (gradient ? `, gradient ${gradient}` : "");
    }
  }
}

if (typeof document === "undefined") module.exports = { CELLS, compute };
else
  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll("[data-cell]")) new Cell(place, place.dataset.cell);
  });
