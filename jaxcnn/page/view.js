"use strict";
// The page itself: what is given, the steps, the layers. What it knows of a network it asks a source:
//
// layers: [{name, kind, operation, formula, shape}], the first one being the input.
// look({drawing, image, start, epoch}): {y, delta: an array for each layer, loss, index (the class
//     or element that δ begins with), probabilities, or null, milliseconds}, or a promise of it.
// explain({half: "y" or "delta", layer, index}): {value, terms: [{layer, index, value, weight,
//     name}]}, and for y its bias and whether it is a curve, or a promise of it. Of δ `through` are
//     the layers that read it, where it is not the next one. explained: the halves it can tell of.
// starts: what δ can begin with: "class", "target", "unit". images: [{values, label}]. epochs: names.
// names: of the classes, or null. range: numbers of black and white. drawing: {height, width, ink}.

const $ = id => document.getElementById(id);
const state = {source: null, pad: null, answer: null, image: null, start: null, epoch: 0, step: 0,
  chosen: null, rows: [], milliseconds: 0};

const number = value => {
  if (!Number.isFinite(value)) return String(value);
  const text = Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 || value === 0
    ? String(Number(value.toPrecision(3))) : value.toExponential(2).replace("e", "·10^");
  return text.replace(/\^\+?(-?\d+)/, (_, power) => [...power].map(c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join(""))
    .replace("-", "−");
};

const className = k => state.source.names ? state.source.names[k] : String(k);

// "c1[3, 4, 2]": row, column, map.
function placeName(layer, index) {
  const {name, shape} = state.source.layers[layer], along = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    along.unshift(index % shape[axis]);
    index = Math.floor(index / shape[axis]);
  }
  return `${name}[${along.join(", ")}]`;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  Object.assign(made, attributes);
  return made;
}

function view(source) {
  Object.assign(state, {source, epoch: source.epochs.length - 1, image: source.images.length ? 0 : null,
    start: {kind: source.starts[0], index: null}, step: 2 * source.layers.length});
  showGiven();
  showSteps();
  showLayers();
  listenToPanel();
  darkness.addEventListener("change", refresh);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; refresh(); } });
  ask().then(() => { if (source.images.length && !narrow()) showExample(); });
}

const narrow = () => matchMedia("(max-width: 1100px)").matches;

// The largest δ that weights have made stands as an example until another element is chosen.
function showExample() {
  const {layers} = state.source, found = layers.findIndex((_, l) => l && ["conv", "dense"].includes(layers[l + 1]?.operation));
  state.chosen = largestOf("delta", Math.max(found, 0));
  refresh();
}

function largestOf(half, layer) {
  const values = state.answer[half][layer].map(Math.abs);
  return {half, layer, index: values.indexOf(Math.max(...values))};
}

// One question at a time: what changes meanwhile is asked afterwards.
let waiting = false, changed = false;

async function ask() {
  changed = true;
  if (waiting) return;
  waiting = true;
  while (changed) {
    changed = false;
    const {source, pad, image, start, epoch} = state;
    try {
      const begun = performance.now();
      const question = {drawing: image === null ? pad.pixels() : null, image, start, epoch};
      state.answer = await source.look(question);
      state.milliseconds = performance.now() - begun;
      refresh();
    } catch (error) {
      $("status").className = "wrong";
      $("status").textContent = `No answer: ${error.message}`;
    }
  }
  waiting = false;
}

// What is given ---------------------------------------------------------------------------------------

function showGiven() {
  const {source} = state;
  if (source.drawing) {
    $("drawing").hidden = false;
    state.pad = makePad($("pad"), source.drawing, () => { state.image = null; ask(); });
    $("clear").addEventListener("click", () => {
      state.pad.clear();
      state.image = null;
      state.start.index = null;
      ask();
    });
  }
  source.images.forEach((image, k) => {
    const button = element("button"), canvas = button.appendChild(element("canvas"));
    const label = image.label === null ? "" : `, of class ${className(image.label)}`;
    button.setAttribute("aria-label", `Image ${k + 1}${label}`);
    button.addEventListener("click", () => { state.image = k; state.start.index = null; ask(); });
    paint(canvas, source.layers[0].shape, image.values, 38, {zoom: 4, range: source.range});
    $("images").append(button);
  });
  $("choice").hidden = source.images.length === 0;
  if (!source.drawing) $("choice").querySelector("h2").textContent = "Choose an image";
  if (source.epochs.length > 1) {
    $("epoch").hidden = false;
    $("epochs").max = $("epochs").value = state.epoch;
    $("epochs").addEventListener("input", event => { state.epoch = Number(event.target.value); ask(); });
  }
  const saying = {class: "the error of a class", target: "the error against the target", unit: "an output itself"};
  if (source.starts.length > 1) for (const kind of source.starts) {
    const label = $("starts").appendChild(element("label"));
    const choice = element("input", undefined, {type: "radio", name: "start", value: kind});
    choice.addEventListener("change", () => begin({kind, index: null}));
    label.append(choice, ` ${saying[kind]}`);
    $("starts").hidden = false;
  }
}

function begin(start) {
  state.start = start;
  ask();
}

function refreshGiven() {
  const {source, answer, image, start} = state, {probabilities} = answer;
  for (const choice of $("starts").querySelectorAll("input")) choice.checked = choice.value === start.kind;
  [...$("images").children].forEach((button, k) => button.setAttribute("aria-pressed", k === image));
  if (source.epochs.length) $("epoch-name").textContent = source.epochs[state.epoch];
  $("classes").hidden = !probabilities;
  probabilities?.forEach((p, k) => {
    const row = classRow(k);
    row.querySelector("i").style.width = `${100 * p}%`;
    row.lastElementChild.textContent = `${(100 * p).toFixed(1)} %`;
    row.setAttribute("aria-pressed", start.kind !== "target" && k === answer.index);
  });
  const empty = image === null && largest(answer.y[0].map(v => v - source.range[0])) < 1e-6;
  const best = probabilities?.indexOf(Math.max(...probabilities));
  const status = $("status"), took = `Answered in ${state.milliseconds.toFixed(0)} ms` +
    (answer.milliseconds === undefined ? "." : `, ${answer.milliseconds} of them in the network.`);
  status.className = "";
  if (empty || best === undefined) delete status.dataset.predicted; else status.dataset.predicted = best;
  status.textContent = `${empty ? "Draw: what stands here is of an empty image; "
    : best === undefined ? "" : `This looks like ${className(best)}; `}${beginning()}. ${took}`;
}

// Where δ comes from, in words.
function beginning() {
  const {start, answer, source} = state, last = source.layers.length - 1;
  if (start.kind === "class") return `δ comes from class ${className(answer.index)}`;
  if (start.kind === "target") return "δ comes from the difference to the target";
  return `δ begins with 1 at ${placeName(last, answer.index)}`;
}

function classRow(k) {
  const classes = $("classes");
  if (!classes.children[k + 1]) {
    const row = element("button", undefined, {className: "class"});
    row.append(element("span", className(k)), element("span", undefined, {className: "bar"}), element("span"));
    row.children[1].append(element("i"));
    row.addEventListener("click", () => {
      if (state.start.kind === "target") return;
      state.start.index = k;
      ask();
    });
    classes.append(row);
  }
  return classes.children[k + 1];
}

// Steps -----------------------------------------------------------------------------------------------
//
// With n layers, the input among them: 0 to n − 1 go forward, at n stands E, n + 1 to 2n go back.

function stepOf(half, layer) {
  return half === "y" ? layer : 2 * state.source.layers.length - layer;
}

function at(step) {
  const n = state.source.layers.length;
  if (step === n) return null;
  return step < n ? {half: "y", layer: step} : {half: "delta", layer: 2 * n - step};
}

function go(step) {
  const most = 2 * state.source.layers.length, half = at(state.step = Math.min(most, Math.max(0, step)));
  state.chosen = half && !narrow() ? largestOf(half.half, half.layer) : null;
  refresh();
  (half ? state.rows[half.layer] : state.rows.at(-1)).row.scrollIntoView({block: "nearest"});
}

function showSteps() {
  const most = 2 * state.source.layers.length, moves = {first: () => 0, back: () => state.step - 1,
    forth: () => state.step + 1, last: () => most};
  for (const [id, to] of Object.entries(moves)) $(id).addEventListener("click", () => go(to()));
  $("position").max = most;
  $("position").addEventListener("input", event => go(Number(event.target.value)));
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input")) return;
    if (event.key === "Escape") return choose(null);
    const move = {Home: "first", ArrowLeft: "back", ArrowRight: "forth", End: "last"}[event.key];
    if (!move || event.defaultPrevented) return;
    event.preventDefault();
    go(moves[move]());
  });
}

function refreshStep() {
  const {source, step, answer} = state, half = at(step), n = source.layers.length;
  $("position").value = step;
  $("first").disabled = $("back").disabled = step === 0;
  $("last").disabled = $("forth").disabled = step === 2 * n;
  $("step").textContent = `Step ${step} of ${2 * n}: ` + (
    !half ? `E = ${number(answer.loss)}; now back: ${beginning()}`
    : half.half === "y" ? (half.layer ? `forward through ${source.layers[half.layer].name}` : "the input")
    : half.layer === n - 1 ? `δ of ${source.layers[n - 1].name}: ${beginning()}`
    : `back through ${source.layers[half.layer + 1].name}: δ of ${source.layers[half.layer].name}`);
}

// Layers ----------------------------------------------------------------------------------------------

function showLayers() {
  state.source.layers.forEach((layer, l) => {
    const row = element("div", undefined, {className: "layer"});
    row.append(element("h3", `${layer.name}: ${layer.kind}, ${layer.shape.join(" × ")}`),
      element("code", layer.formula), element("div", undefined, {className: "halves"}));
    const made = {row};
    for (const half of ["y", "delta"]) {
      const place = element("div"), canvas = element("canvas", undefined, {tabIndex: 0});
      place.append(element("div", undefined, {className: "scale"}), canvas);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${half === "y" ? "y" : "δ"} of ${layer.name}, ${layer.shape.join(" by ")}`);
      canvas.addEventListener("click", event => {
        const index = picked(canvas, event);
        if (index !== null) choose({half, layer: l, index});
      });
      canvas.addEventListener("keydown", event => moveChosen(event, half, l));
      row.lastElementChild.append(place);
      made[half] = {place, canvas, scale: place.firstElementChild};
    }
    $("layers").append(row);
    state.rows.push(made);
  });
}

function moveChosen(event, half, layer) {
  const {chosen, source} = state, here = chosen && chosen.half === half && chosen.layer === layer;
  if (event.key === "Enter") choose(largestOf(half, layer));
  else if (here && /^(Arrow|[,.]$)/.test(event.key))
    choose({half, layer, index: neighbour(source.layers[layer].shape, chosen.index, event.key)});
  else return;
  event.preventDefault();
}

function refreshLayers() {
  const {source, answer, step, chosen, rows, marked = []} = state, current = at(step)?.layer;
  rows.forEach((row, l) => {
    row.row.classList.toggle("current", l === current && step < 2 * source.layers.length);
    for (const half of ["y", "delta"]) {
      const {canvas, scale, place} = row[half], values = answer[half][l], image = l === 0 && half === "y";
      const later = step < stepOf(half, l);
      place.classList.toggle("later", later);
      scale.textContent = later ? "not yet" : image ? "from black to white"
        : largest(values) ? `up to ±${number(largest(values))}` : "all zero";
      const here = chosen && chosen.half === half && chosen.layer === l, room = place.clientWidth || 150;
      const around = chosen?.half === half ? marked.filter(term => term.layer === l).map(term => term.index) : [];
      // A step changes a few of many pictures.
      const key = [room, darkness.matches, here ? chosen.index : "", around].join();
      if (canvas.values === values && canvas.key === key) continue;
      Object.assign(canvas, {values, key});
      paint(canvas, source.layers[l].shape, values, room, {range: image ? source.range : undefined,
        chosen: here ? chosen.index : undefined, marked: around});
    }
  });
}

function refresh() {
  if (!state.answer) return;
  refreshGiven();
  refreshStep();
  refreshLayers();
  explainChosen();
}
