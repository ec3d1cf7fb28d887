// The page's network: a reader types a beginning, and it goes on. network.js does the arithmetic.
"use strict";

const HERE = new URL("live/", document.currentScript.src);
const BEGINNING = "it is a truth universally acknowledged , that";
const MOST_READ = 300; // words of a beginning that are read: a longer one changes little
const SHOWN = 12; // next words in the bars
const LINE = 120; // words that the line has room for
const IN_A_RUN = 200; // words, after which "Go on" waits to be asked again

const SKELETON = `
  <label class="live-beginning">A beginning
    <textarea rows="2" spellcheck="false"></textarea>
  </label>
  <div class="live-buttons">
    <button type="button" data-do="run">Go on</button>
    <button type="button" data-do="step">One word</button>
    <button type="button" data-do="back">Back</button>
    <button type="button" data-do="again">From the beginning</button>
    <label>seed <input type="number" data-set="seed" value="1" min="0" step="1"></label>
  </div>
  <div class="live-sliders">
    <label>temperature <input type="range" data-set="temperature" min="0.1" max="2" step="0.1" value="0.8"><output></output></label>
    <label>top-k <input type="range" data-set="topK" min="1" max="201" step="5" value="201"><output></output></label>
    <label>top-p <input type="range" data-set="topP" min="0.05" max="1" step="0.05" value="1"><output></output></label>
  </div>
  <p class="live-note" role="status" aria-live="polite"></p>
  <p class="live-text" aria-label="the text so far"></p>
  <p class="live-score"></p>
  <div class="live-panels">
    <section aria-label="What may come next">
      <p class="live-title">What may come next</p>
      <ol class="live-bars"></ol>
    </section>
    <section aria-label="What the network keeps">
      <p class="live-title">The unit that follows speech</p>
      <canvas class="live-line" role="img"></canvas>
      <fieldset class="live-switch"><legend>Hold it</legend>
        <label><input type="radio" value="free" checked> free</label>
        <label><input type="radio" value="inside"> as inside a quotation</label>
        <label><input type="radio" value="outside"> as outside</label>
      </fieldset>
      <p class="live-title">All cell states</p>
      <canvas class="live-strip" role="img" aria-label="the cell states of all units after the last word, one bar a unit"></canvas>
    </section>
  </div>`;

class Live {
  constructor(place, network, about, number) {
    Object.assign(this, { place, network, about, steps: [] });
    place.innerHTML = SKELETON;
    this.find = (selector) => place.querySelector(selector);
    for (const radio of place.querySelectorAll("input[type=radio]")) {
      radio.name = `live-held-${number}`;
      radio.addEventListener("change", () => this.readAnew());
    }
    for (const input of place.querySelectorAll("[data-set]")) {
      input.addEventListener("input", () => this.changed(input));
    }
    this.find("textarea").value = BEGINNING;
    this.find("textarea").addEventListener("input", () => this.begin());
    this.find("[data-do=run]").addEventListener("click", () => this.toggle());
    this.find("[data-do=step]").addEventListener("click", () => (this.stop(), this.step()));
    this.find("[data-do=back]").addEventListener("click", () => this.back());
    this.find("[data-do=again]").addEventListener("click", () => this.begin());
    for (const input of place.querySelectorAll("[data-set]")) this.tell(input);
    this.bars = Array.from({ length: SHOWN }, () => this.makeBar());
    const redraw = () => (this.drawLine(), this.drawStrip());
    addEventListener("resize", redraw);
    const theme = { attributes: true, attributeFilter: ["data-theme"] };
    new MutationObserver(redraw).observe(document.documentElement, theme);
    this.begin();
  }

  // The bars are made once and filled anew, so that the one with the focus keeps it.
  makeBar() {
    const item = document.createElement("li");
    item.innerHTML = '<button type="button" title="take this word"><b></b><i></i><span></span></button>';
    const [button] = item.children;
    const [name, bar, share] = button.children;
    this.find(".live-bars").append(item);
    return { item, button, name, bar, share };
  }

  setting(name) {
    return Number(this.find(`[data-set=${name}]`).value);
  }

  get sampling() {
    const topK = this.setting("topK");
    return {
      temperature: this.setting("temperature"),
      topK: topK > 200 ? Infinity : topK,
      topP: this.setting("topP"),
    };
  }

  tell(input) {
    const output = input.parentElement.querySelector("output");
    if (output) output.value = input.dataset.set === "topK" && input.value > 200 ? "all" : input.value;
  }

  changed(input) {
    this.tell(input);
    if (input.dataset.set === "seed") this.begin();
    else this.showNext();
  }

  // Read the beginning anew; what the network does not know is left out and named.
  begin() {
    this.stop();
    const words = tokenize(this.find("textarea").value);
    const known = words.filter((word) => this.network.indexOf.has(word));
    const unknown = [...new Set(words.filter((word) => !this.network.indexOf.has(word)))];
    const notes = [];
    if (unknown.length) {
      const named = unknown.slice(0, 8).join(", ") + (unknown.length > 8 ? ", …" : "");
      notes.push(`Not among the ${this.network.words.length} words of the novel, and left out: ${named}.`);
    }
    if (!known.length) {
      notes.push("There is no word that the network knows, so it starts as if after a full stop.");
      known.push(".");
    }
    if (known.length > MOST_READ) {
      notes.push(`Only the last ${MOST_READ} of ${known.length} words are read.`);
    }
    this.tellNote(notes.join(" "));
    this.given = known.slice(-MOST_READ).map((word) => this.network.indexOf.get(word));
    this.written = [];
    this.random = randomNumbers(this.setting("seed"));
    this.drawn = [];
    this.read();
  }

  // Read the words so far. What has been read already, in the same order, is not read again.
  read() {
    const words = [...this.given, ...this.written];
    let same = 0;
    while (same < words.length && this.steps[same]?.word === words[same]) same++;
    this.steps.length = same;
    for (const word of words.slice(same)) this.take(word);
    this.show();
  }

  readAnew() {
    this.steps = [];
    this.read();
  }

  get state() {
    return this.steps.at(-1).state;
  }

  // Read one word: how surprising it was, and the state after it.
  take(word) {
    const last = this.steps.at(-1);
    const nats = last ? surprise(this.network.logits(last.state), word) : NaN; // nothing before it
    let state = this.network.read(word, last?.state ?? this.network.start());
    const { speech } = this.about;
    const held = this.find("input[type=radio]:checked").value;
    if (held !== "free") state = this.network.hold(state, speech.unit, speech[held]);
    this.steps.push({ word, nats, state });
  }

  step() {
    const next = distribution(this.network.logits(this.state), this.sampling);
    this.choose(sample(next, this.chance(this.written.length)));
  }

  // The random number for a place of the text: after a step back it is the same again.
  chance(place) {
    while (this.drawn.length <= place) this.drawn.push(this.random());
    return this.drawn[place];
  }

  choose(word) {
    this.written.push(word);
    this.read();
  }

  back() {
    this.stop();
    this.written.pop();
    this.read();
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    this.find("[data-do=run]").textContent = "Pause";
    const end = this.written.length + IN_A_RUN;
    this.timer = setInterval(() => {
      this.step();
      if (this.written.length < end) return;
      this.stop();
      this.tellNote(`It stopped after ${IN_A_RUN} words: "Go on" writes as many again.`);
    }, 90);
  }

  tellNote(text) {
    this.find(".live-note").textContent = text;
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.find("[data-do=run]").textContent = "Go on";
  }

  show() {
    this.find("[data-do=back]").disabled = !this.written.length;
    this.showText();
    this.showNext();
    this.drawLine();
    this.drawStrip();
  }

  showText() {
    const { words } = this.network;
    const all = [...this.given, ...this.written];
    const shown = asText(all.map((word) => words[word])).split(/(?<=\S)(?=[.,;:!?])| /);
    this.find(".live-text").replaceChildren(
      ...shown.map((word, n) => {
        const span = document.createElement("span");
        const mark = ".,;:!?".includes(word);
        span.textContent = (n && !mark ? " " : "") + word;
        if (n >= this.given.length) span.className = "live-written";
        const { nats } = this.steps[n];
        if (Number.isFinite(nats)) {
          span.style.setProperty("--surprise", Math.min(nats / 10, 1).toFixed(2));
          span.title = `probability ${Math.exp(-nats).toPrecision(2)}, ${nats.toFixed(2)} nats`;
        }
        return span;
      }),
    );
    const scored = this.steps.slice(1, this.given.length);
    const mean = scored.reduce((sum, { nats }) => sum + nats, 0) / scored.length;
    this.find(".live-score").textContent = scored.length
      ? `Perplexity of your beginning, its first word apart: ${Math.exp(mean).toFixed(1)} ` +
        "(the stronger its colour, the less a word was expected)."
      : "";
  }

  showNext() {
    const { p, order } = distribution(this.network.logits(this.state), this.sampling);
    this.bars.forEach(({ item, name, bar, share, button }, n) => {
      const word = order[n];
      item.hidden = p[word] === 0;
      name.textContent = this.network.words[word];
      bar.style.width = `${(70 * p[word]) / p[order[0]]}%`;
      share.textContent = `${(100 * p[word]).toFixed(1)} %`;
      button.onclick = () => (this.stop(), this.choose(word));
    });
  }

  drawLine() {
    const { canvas, pen, width, height } = this.paper(".live-line");
    const { unit, inside, outside } = this.about.speech;
    const extreme = Math.max(Math.abs(inside), Math.abs(outside)) * 2;
    const sign = Math.sign(inside);
    const y = (value) => height / 2 - (sign * value * height) / (2 * extreme);
    pen.setLineDash([4, 4]);
    for (const [value, words] of [[inside, "inside"], [outside, "outside"]]) {
      pen.beginPath();
      pen.moveTo(0, y(value));
      pen.lineTo(width, y(value));
      pen.stroke();
      pen.fillText(words, 4, y(value) - 4);
    }
    pen.setLineDash([]);
    pen.lineWidth = 2;
    pen.beginPath();
    const line = this.steps.slice(-LINE).map(({ state }) => state.c[unit]);
    line.forEach((value, n) => pen.lineTo((n * width) / LINE, y(value)));
    pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--live-accent");
    pen.stroke();
    canvas.ariaLabel =
      `the cell state of the unit that follows speech, over the words so far; now ` +
      `${line.at(-1).toFixed(2)}, usually ${inside} inside of a quotation and ${outside} outside`;
  }

  drawStrip() {
    const { canvas, pen, width, height } = this.paper(".live-strip");
    const style = getComputedStyle(canvas);
    const bar = width / this.state.c.length;
    this.state.c.forEach((value, unit) => {
      const size = (Math.tanh(value / 2) * height) / 2;
      pen.fillStyle = style.getPropertyValue(
        unit === this.about.speech.unit ? "--live-accent" : "--live-ink",
      );
      pen.fillRect(unit * bar, height / 2 - Math.max(size, 0), Math.max(bar - 0.5, 1), Math.abs(size));
    });
  }

  paper(selector) {
    const canvas = this.find(selector);
    const pen = canvas.getContext("2d");
    const { clientWidth: width, clientHeight: height } = canvas;
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    pen.scale(devicePixelRatio, devicePixelRatio);
    const ink = getComputedStyle(canvas).getPropertyValue("--live-ink");
    pen.clearRect(0, 0, width, height);
    Object.assign(pen, { strokeStyle: ink, fillStyle: ink, lineWidth: 1, font: "13px sans-serif" });
    return { canvas, pen, width, height };
  }
}

// The weights: fetched from a server; in a page opened from a file, where a browser fetches
// nothing, a script beside it holds them.
async function load() {
  if (location.protocol === "file:") {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      Object.assign(script, { src: `${HERE}live-from-file.js`, onload: resolve, onerror: reject });
      document.head.append(script);
    });
    return { about: LIVE.about, bytes: Uint8Array.from(atob(LIVE.bytes), (c) => c.charCodeAt(0)).buffer };
  }
  const [about, bytes] = await Promise.all(
    ["live.json", "live.bin"].map(async (name) => {
      const answer = await fetch(HERE + name);
      if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
      return answer;
    }),
  );
  return { about: await about.json(), bytes: await bytes.arrayBuffer() };
}

async function startLive(place, number) {
  place.innerHTML = '<p class="live-note">Loading the network, 2.3 MB …</p>';
  try {
    const { about, bytes } = await load();
    place.live = new Live(place, new Network(about, bytes), about, number);
  } catch (error) {
    place.textContent =
      `The network cannot be loaded here (${error.message ?? "its file is missing"}). ` +
      "The lessons do not need it: python -m blg561 generate runs the same network.";
  }
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-live]").forEach((place, number) => {
    const start = new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      startLive(place, number);
    });
    start.observe(place);
  });
});
