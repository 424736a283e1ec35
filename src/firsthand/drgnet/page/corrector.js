// The correction desk: a picture, what the system sees in it as coloured layers, a brush, and a submission.
// Everything that is painted stays here until it is submitted as one record (see feedback.SCHEMA).

const COLOURS = [[230, 60, 60], [40, 120, 255], [250, 210, 40], [60, 210, 160]];
const GRADES = ["0 none", "1 mild", "2 moderate", "3 severe", "4 proliferative"];

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

function runs(mask) {
  // lengths of runs, beginning with what is not set; an empty mask has none
  const found = [];
  let value = 0, length = 0, any = false;
  for (const pixel of mask) {
    if (pixel !== value) { found.push(length); value = pixel; length = 0; }
    if (pixel) any = true;
    length += 1;
  }
  if (value === 1) found.push(length);
  return any ? found : [];
}

async function grey(address, size) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = element("canvas", { width: size, height: size });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0, size, size);
  const pixels = pen.getImageData(0, 0, size, size).data;
  const values = new Uint8Array(size * size);
  for (let i = 0; i < values.length; i += 1) values[i] = pixels[4 * i];
  return values;
}

function render({ model, el }) {
  const state = {
    kind: 0, tool: "add", radius: 3, threshold: 0.9, busy: false, turn: 0, name: `kind-${Math.random()}`, opacity: 0.6, shown: [true, true, true, true], old: false,
    gate: false, clicks: 0, began: Date.now(), undo: [], layers: { now: [], before: [] }, gates: {},
  };
  const size = () => model.get("size");
  const blank = () => COLOURS.map(() => ({ positive: new Uint8Array(size() ** 2), negative: new Uint8Array(size() ** 2) }));
  let painted = blank();

  const eye = element("canvas", {}), over = element("canvas", { class: "fh-paint", role: "img", "aria-label": "Retina to correct; paint with the mouse or a finger" });
  const say = element("div", { class: "fh-say", role: "status", "aria-live": "polite" });
  const bars = element("div", {}), shares = element("div", {}), effort = element("div", { class: "fh-note" });
  const title = element("span", {});

  function tools() {
    const buttons = ["add", "erase"].map((tool) => element("button", {
      type: "button", "aria-pressed": String(tool === state.tool), "data-tool": tool,
      onclick: () => { state.tool = tool; buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.tool === tool))); },
    }, tool === "add" ? "Add lesion" : "Remove"));
    return element("div", { class: "fh-row" }, ...buttons, element("button", { type: "button", onclick: undo }, "Undo"));
  }

  function slider(words, low, high, step, value, change) {
    return element("label", {}, words, element("input", {
      type: "range", min: low, max: high, step, value, "aria-label": words,
      oninput: (event) => { change(Number(event.target.value)); paint(); },
    }));
  }

  const layers = element("fieldset", {}, element("legend", {}, "Lesions"), ...model.get("kinds").map(([short, long], k) => element("label", {},
    element("input", { type: "radio", name: state.name, checked: k === 0, "aria-label": `Paint ${long}`, "data-kind": short, onchange: () => { state.kind = k; } }),
    element("span", { class: "fh-swatch", style: `background: rgb(${COLOURS[k]})` }), long,
    element("input", { type: "checkbox", checked: true, "aria-label": `Show ${long}`, onchange: (event) => { state.shown[k] = event.target.checked; paint(); } }))),
    tools(),
    slider("Brush", 0, 12, 1, state.radius, (v) => { state.radius = v; }),
    slider("Threshold", 0.05, 0.95, 0.05, state.threshold, (v) => { state.threshold = v; }),
    slider("Opacity", 0, 1, 0.1, state.opacity, (v) => { state.opacity = v; }));

  const grade = element("select", { "aria-label": "Your grade" }, element("option", { value: "" }, "no opinion"),
    ...GRADES.map((words, g) => element("option", { value: g }, words)));
  const submit = element("button", { type: "button", class: "fh-main", onclick: send }, "Submit and update");
  const compare = element("button", { type: "button", "aria-pressed": "false", onclick: () => { state.old = !state.old; compare.setAttribute("aria-pressed", String(state.old)); paint(); fill(); } }, "Show before");
  const where = element("button", { type: "button", "aria-pressed": "false", onclick: () => { state.gate = !state.gate; where.setAttribute("aria-pressed", String(state.gate)); paint(); } }, "Where it looked");

  const pages = [["Previous", -1], ["Next", 1]].map(([words, by]) => element("button", { type: "button", onclick: () => model.send({ do: "turn", by }) }, words));

  el.append(element("div", { class: "fh-desk" },
    element("div", {}, element("div", { class: "fh-eye" }, eye, over),
      element("div", { class: "fh-row" },
        pages[0], title, pages[1], compare, where), say),
    element("div", {}, layers,
      element("fieldset", {}, element("legend", {}, "Grade"), bars, element("label", {}, "Yours", grade)),
      element("fieldset", {}, element("legend", {}, "Which lesion counted"), shares),
      element("div", { class: "fh-row" }, submit), effort,
      element("div", { class: "fh-note" }, "Drawn pictures. Not a medical device. A suggestion on the screen makes people agree with it: look first, then look at the layers."))));

  function undo() {
    const last = state.undo.pop();
    if (last) { painted = last; state.clicks = Math.max(0, state.clicks - 1); paint(); }
  }

  function stroke(x, y) {
    const n = size(), here = painted[state.kind], r = state.radius;
    const [on, off] = state.tool === "add" ? [here.positive, here.negative] : [here.negative, here.positive];
    for (let v = Math.max(0, y - r); v <= Math.min(n - 1, y + r); v += 1) {
      for (let u = Math.max(0, x - r); u <= Math.min(n - 1, x + r); u += 1) {
        if ((u - x) ** 2 + (v - y) ** 2 <= r * r + 0.5) { on[v * n + u] = 1; off[v * n + u] = 0; }
      }
    }
  }

  function at(event) {
    const box = over.getBoundingClientRect(), n = size();
    return [Math.floor((event.clientX - box.left) / box.width * n), Math.floor((event.clientY - box.top) / box.height * n)];
  }

  let last = null;
  over.addEventListener("pointerdown", (event) => {
    if (state.busy) return;
    over.setPointerCapture(event.pointerId);
    state.undo.push(painted.map((one) => ({ positive: one.positive.slice(), negative: one.negative.slice() })));
    if (state.undo.length > 20) state.undo.shift();
    state.clicks += 1;
    last = at(event);
    stroke(...last);
    paint();
  });
  over.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = at(event), far = Math.max(Math.abs(next[0] - last[0]), Math.abs(next[1] - last[1]), 1);
    for (let step = 1; step <= far; step += 1) stroke(Math.round(last[0] + (next[0] - last[0]) * step / far), Math.round(last[1] + (next[1] - last[1]) * step / far));
    last = next;
    paint();
  });
  for (const name of ["pointerup", "pointercancel"]) over.addEventListener(name, () => { last = null; });

  function paint() {
    const n = size(), pen = over.getContext("2d"), image = pen.createImageData(n, n), which = state.old && state.layers.before.length ? "before" : "now";
    const seen = state.layers[which], limit = 255 * state.threshold, gate = state.gate ? state.gates[which] : undefined;
    for (let i = 0; i < n * n; i += 1) {
      let colour, alpha = 255 * state.opacity;
      if (gate) { colour = [255, 140, 0]; alpha = 0.85 * gate[i]; }
      for (let k = 0; k < COLOURS.length && !gate; k += 1) {
        if (!state.shown[k]) continue;
        const lit = painted[k].positive[i] || (seen[k] && seen[k][i] >= limit && !painted[k].negative[i]);
        if (lit) colour = COLOURS[k];
        if (painted[k].negative[i]) { colour = [255, 255, 255]; alpha = 140 * state.opacity; }
      }
      if (colour) image.data.set([...colour, alpha], 4 * i);
    }
    pen.putImageData(image, 0, 0);
    const pixels = painted.reduce((sum, one) => sum + one.positive.reduce((a, b) => a + b, 0) + one.negative.reduce((a, b) => a + b, 0), 0);
    effort.textContent = `${state.clicks} strokes, ${pixels} pixels, ${Math.round((Date.now() - state.began) / 1000)} s`;
  }

  function bar(words, value) {
    return element("div", { class: "fh-bar" }, element("span", {}, words), element("span", {}, element("i", { style: `width: ${100 * value}%` })), element("span", {}, `${Math.round(100 * value)} %`));
  }

  function fill() {
    const view = state.old && model.get("before").grades ? model.get("before") : model.get("now");
    bars.replaceChildren(...(view.grades ?? []).map((p, g) => bar(`grade ${g}`, p)));
    shares.replaceChildren(...(view.shares ?? []).map((p, k) => bar(model.get("kinds")[k][0], p)));
    title.textContent = ` ${model.get("number") + 1} of ${model.get("count")} `;
    say.textContent = state.busy ? "Learning …" : model.get("message");
    submit.disabled = state.busy;
    for (const button of pages) button.disabled = state.busy;
    compare.disabled = !model.get("before").grades;
  }

  async function read(which) {
    const view = model.get(which), turn = state.turn;
    const layers = await Promise.all((view.layers ?? []).map((address) => grey(address, size())));
    const gate = view.gate ? await grey(view.gate, size()) : undefined;
    if (turn !== state.turn) return; // a later picture has come
    state.layers[which] = layers;
    state.gates[which] = gate;
    fill();
    paint();
  }

  async function turn() {
    const n = size(), turn = state.turn += 1;
    for (const canvas of [eye, over]) { canvas.width = n; canvas.height = n; }
    painted = blank();
    Object.assign(state, { clicks: 0, began: Date.now(), undo: [], old: false });
    compare.setAttribute("aria-pressed", "false");
    grade.value = "";
    const image = new Image();
    image.src = model.get("picture");
    await image.decode();
    if (turn !== state.turn) return;
    eye.getContext("2d").drawImage(image, 0, 0, n, n);
    await Promise.all([read("now"), read("before")]);
  }

  function send() {
    const lesions = {};
    model.get("kinds").forEach(([short], k) => {
      const said = {};
      for (const name of ["positive", "negative"]) { const found = runs(painted[k][name]); if (found.length) said[name] = found; }
      if (Object.keys(said).length) lesions[short] = said;
    });
    state.busy = true;
    fill();
    model.send({ do: "submit", record: {
      image: model.get("name"), round: 1, size: size(), grade: grade.value === "" ? null : Number(grade.value), lesions, source: "expert", clicks: state.clicks,
    } });
  }

  function answered() {
    state.busy = false;
    if (model.get("message").startsWith("Learned")) { // what was painted is taught: a second press teaches nothing twice
      painted = blank();
      Object.assign(state, { clicks: 0, began: Date.now(), undo: [] });
      grade.value = "";
    }
    fill();
    paint();
  }

  const listeners = [["change:picture", turn], ["change:now", () => read("now")], ["change:before", () => read("before")], ["change:message", fill], ["change:answers", answered]];
  for (const [name, handler] of listeners) model.on(name, handler);
  turn();
  return () => { for (const [name, handler] of listeners) model.off(name, handler); };
}

export default { render };
