// The LSTM of lesson 4 in plain JavaScript: the forward pass alone, one word at a time.
// The number at a line's end is that of its equation in the lessons. Vectors are rows.
"use strict";

const TOKEN = /[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*|[.,;:!?]/gu;

// A text as the words that the network reads, as blg561.language_model.dataset.tokenize has them.
function tokenize(text) {
  const lower = text.replace(/[‘’]/g, "'").toLowerCase();
  return lower.replaceAll("\u0307", "").match(TOKEN) ?? []; // İ became i and a dot above
}

const sigmoid = (a) => 1 / (1 + Math.exp(-a));

class Network {
  // about: sizes and words as tools/live.py writes them; bytes: the ArrayBuffer of the weights.
  constructor(about, bytes) {
    const { words, hidden_size: H } = about;
    const V = words.length;
    const expected = V * H + 8 * H * H + 4 * (V + 8 * H) + 4 * (V + 4 * H);
    if (bytes.byteLength !== expected) {
      throw new Error(`the weights have ${bytes.byteLength} bytes, expected ${expected}`);
    }
    this.words = words;
    this.indexOf = new Map(words.map((word, index) => [word, index]));
    this.H = H;
    let place = 0;
    const floats = (n) => new Float32Array(bytes.slice(place, (place += 4 * n)));
    const rowScale = floats(V);
    const columnScale = { Wx: floats(4 * H), Wh: floats(4 * H) };
    this.outputBias = floats(V);
    this.b = floats(4 * H);
    const eightBit = (n) => new Int8Array(bytes, (place += n) - n, n);
    this.embedding = Float32Array.from(eightBit(V * H), (w, n) => w * rowScale[Math.floor(n / H)]);
    for (const name of ["Wx", "Wh"]) {
      const scale = columnScale[name];
      this[name] = Float32Array.from(eightBit(4 * H * H), (w, n) => w * scale[n % (4 * H)]);
    }
  }

  start() {
    return { h: new Float32Array(this.H), c: new Float32Array(this.H) };
  }

  // The state after reading the word number `index`; `state` itself stays as it is.
  read(index, state) {
    const { H } = this;
    const x = this.embedding.subarray(index * H, (index + 1) * H); // (NLM.1)
    const a = Float32Array.from(this.b);
    addProduct(a, x, this.Wx); // (LSTM.1)
    addProduct(a, state.h, this.Wh); // (LSTM.1)
    const h = new Float32Array(H);
    const c = new Float32Array(H);
    for (let unit = 0; unit < H; unit++) {
      const i = sigmoid(a[unit]); // (LSTM.2)
      const f = sigmoid(a[H + unit]); // (LSTM.3)
      const o = sigmoid(a[2 * H + unit]); // (LSTM.4)
      const g = Math.tanh(a[3 * H + unit]); // (LSTM.5)
      c[unit] = f * state.c[unit] + i * g; // (LSTM.6)
      h[unit] = o * Math.tanh(c[unit]); // (LSTM.7), (LSTM.8)
    }
    return { h, c, o: a.slice(2 * H, 3 * H).map(sigmoid) };
  }

  // The same state with one cell held at a value, and its hidden state as that makes it.
  hold(state, unit, value) {
    const h = Float32Array.from(state.h);
    const c = Float32Array.from(state.c);
    c[unit] = value;
    h[unit] = state.o[unit] * Math.tanh(value); // (LSTM.7), (LSTM.8)
    return { h, c, o: state.o };
  }

  // One logit for each word; the embedding is the output matrix too (NLM.15).
  logits(state) {
    const { H, embedding } = this;
    const logits = Float32Array.from(this.outputBias);
    for (let word = 0, k = 0; word < logits.length; word++) {
      let sum = 0;
      for (let unit = 0; unit < H; unit++, k++) sum += state.h[unit] * embedding[k]; // (NLM.3)
      logits[word] += sum;
    }
    return logits;
  }
}

// a += x W, with W row by row and as many columns as a has entries.
function addProduct(a, x, W) {
  const columns = a.length;
  for (let row = 0, k = 0; row < x.length; row++) {
    const factor = x[row];
    for (let column = 0; column < columns; column++, k++) a[column] += factor * W[k];
  }
}

// How little a word was expected: -ln p, in nats.
function surprise(logits, word) {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  let z = 0;
  for (const logit of logits) z += Math.exp(logit - largest); // (NLM.10), (NLM.11)
  return Math.log(z) - (logits[word] - largest); // (NLM.13)
}

// The probabilities that a word is sampled from, as generation.distribution has them.
function distribution(logits, { temperature = 1, topK = Infinity, topP = 1 } = {}) {
  const order = Uint32Array.from(logits.keys()).sort((m, n) => logits[n] - logits[m]);
  const p = new Float64Array(logits.length);
  const largest = logits[order[0]];
  const kept = order.subarray(0, Math.min(topK, order.length));
  let z = 0;
  for (const word of kept) z += p[word] = Math.exp((logits[word] - largest) / temperature); // (LM.6)
  let reached = 0;
  let after = 0;
  for (const word of kept) {
    const share = p[word] / z;
    p[word] = reached >= topP ? 0 : share;
    after += p[word];
    reached += share;
  }
  for (const word of kept) p[word] /= after;
  return { p, order };
}

// Numbers from 0 to 1, the same for the same seed (mulberry32).
function randomNumbers(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function sample({ p, order }, u) {
  let last = order[0];
  for (const word of order) {
    if (p[word] === 0) break;
    last = word;
    u -= p[word];
    if (u < 0) break;
  }
  return last;
}

// Words as a line to read: no space before a mark, a capital after the end of a sentence, and "I".
function asText(words) {
  let text = "";
  let capital = true;
  for (const word of words) {
    const mark = ".,;:!?".includes(word);
    const large = !mark && (capital || /^i(?:'|$)/.test(word)); // "i'm" too
    const shown = large ? word[0].toUpperCase() + word.slice(1) : word;
    text += mark || text === "" ? shown : " " + shown;
    capital = ".!?".includes(word) || (capital && mark);
  }
  return text;
}

if (typeof module !== "undefined") {
  module.exports = { Network, tokenize, surprise, distribution, randomNumbers, sample, asText };
}
