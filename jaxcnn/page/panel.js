"use strict";
// What is said of the chosen element: which others made it, through which weights.

const SHOWN = 8; // terms of a long sum
let asked = 0, whole = false;

function choose(chosen) {
  if (chosen && !state.source.explained.includes(chosen.half)) chosen.half = "delta";
  state.chosen = chosen;
  state.marked = [];
  whole = false;
  refresh();
  if (chosen) state.rows[chosen.layer][chosen.half].canvas.scrollIntoView({block: "nearest"});
}

async function explainChosen() {
  const {chosen, source} = state, turn = ++asked;
  if (!chosen) { $("element").hidden = true; state.told = null; return; }
  let found = null;
  try {
    found = await source.explain(chosen);
  } catch (error) {
    $("status").className = "wrong";
    $("status").textContent = `No answer: ${error.message}`;
  }
  if (turn !== asked || !found) return;
  state.marked = found.terms.filter(({value, weight}) => value * weight !== 0);
  refreshLayers();
  tell(chosen, found);
}

function listenToPanel() {
  $("close").addEventListener("click", () => choose(null));
  $("begin").addEventListener("click", () => begin({kind: "unit", index: state.chosen.index}));
  $("more").addEventListener("click", () => { whole = !whole; explainChosen(); });
  $("magnified").addEventListener("click", event => {
    const {chosen, source} = state, place = picked($("magnified"), event);
    const {maps} = extent(source.layers[chosen.layer].shape);
    if (place !== null) choose({...chosen, index: place * maps + chosen.index % maps});
  });
  $("magnified").addEventListener("keydown", event => moveChosen(event, state.chosen.half, state.chosen.layer));
}

function tell(chosen, found) {
  const {source} = state, layer = source.layers[chosen.layer], panel = $("element");
  panel.hidden = false;
  const symbol = chosen.half === "y" ? "y" : "δ";
  panel.querySelector("h2").textContent = `${symbol} of ${placeName(chosen.layer, chosen.index)} = ${number(found.value)}`;
  tellPlace(chosen, layer.shape);
  magnify(chosen, layer.shape);
  $("how").textContent = formulaOf(chosen, found);
  $("sum").textContent = sumOf(chosen, found);
  $("begin").hidden = chosen.half === "delta" || chosen.layer < source.layers.length - 1 || !source.starts.includes("unit");
  tellPatches(chosen, found.terms);
  tellTerms(chosen, found.terms);
}

// Boxes for row, column and map, for who cannot aim at an element.
function tellPlace(chosen, shape) {
  const names = {1: ["element"], 2: ["place", "map"], 3: ["row", "column", "map"]}[shape.length];
  const along = placeName(chosen.layer, chosen.index).match(/\d+(?=[,\]])/g).slice(-shape.length).map(Number);
  if ($("place").children.length !== shape.length) {
    $("place").replaceChildren(...names.map(() => element("label")));
    for (const label of $("place").children) {
      const box = element("input", undefined, {type: "number", min: 0});
      label.append("", box);
      box.addEventListener("input", () => {
        const now = state.source.layers[state.chosen.layer].shape;
        const places = [...$("place").querySelectorAll("input")].map(input => Math.floor(input.valueAsNumber));
        if (places.every((place, axis) => place >= 0 && place < now[axis]))
          choose({...state.chosen, index: places.reduce((total, place, axis) => total * now[axis] + place, 0)});
      });
    }
  }
  [...$("place").children].forEach((label, axis) => {
    label.firstChild.textContent = names[axis];
    const box = label.lastElementChild;
    box.max = shape[axis] - 1;
    if (document.activeElement !== box) box.value = along[axis];
  });
}

// The map that the element lies in, large enough for a finger.
function magnify(chosen, shape) {
  const {h, w, maps, vector} = extent(shape), canvas = $("magnified"), map = chosen.index % maps;
  const values = state.answer[chosen.half][chosen.layer], room = canvas.closest("aside").clientWidth - 26;
  canvas.hidden = h * w === 1;
  if (canvas.hidden) return;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `The map of ${placeName(chosen.layer, chosen.index)}`);
  const image = chosen.half === "y" && chosen.layer === 0;
  const one = vector ? values : Float64Array.from({length: h * w}, (_, i) => values[i * maps + map]);
  paint(canvas, vector ? shape : [h, w, 1], one, room, {zoom: 180 / Math.max(h, w),
    range: image ? state.source.range : undefined, chosen: vector ? chosen.index : (chosen.index - map) / maps});
}

// What the layer says of its pass; of δ the layers above say it.
function formulaOf({half, layer}, {through = [layer + 1]}) {
  const {layers} = state.source;
  if (half === "y") return layer ? layers[layer].formula.split("\n")[0] : "";
  return through.map(l => layers[l]).filter(Boolean).map(({name, kind, formula}) =>
    `Through ${name}${name === kind ? "" : ` (${kind})`}: ${formula.split("\n")[1] ?? ""}`).join("\n");
}

const signed = value => (value < 0 ? `(${number(value)})` : number(value));

function sumOf({half, layer, index}, {value, terms, bias, curve, y}) {
  const {source, answer, start} = state, last = source.layers.length - 1;
  if (half === "y" && layer === 0) return "A pixel, as the network is given it.";
  if (curve) return `${source.layers[layer].kind}(${number(terms[0].value)}) = ${number(value)}, where its slope is ${number(terms[0].weight)}.`;
  if (half === "delta" && layer === last) {
    if (start.kind === "unit") return `δ is 1 where it begins, and 0 elsewhere: here ${number(value)}.`;
    if (start.kind === "target") return `δ = y − t = ${number(y)} − ${signed(y - value)} = ${number(value)}.`;
    const wanted = Number(index === answer.index);
    return `δ = softmax(y) − [k = t] = ${number(value + wanted)} − ${wanted} = ${number(value)}, for the class t = ${className(answer.index)}.`;
  }
  const parts = largestFirst(terms).slice(0, 3).map(term => `${signed(term.value)} · ${signed(term.weight)}`);
  if (terms.length > 3) parts.push("…");
  if (bias !== null && bias !== undefined) parts.push(`${signed(bias)} (bias)`);
  const sum = parts.length ? parts.join(" + ") : "an empty sum: nothing above changes with it";
  return `${half === "y" ? "y = Σ x · w" : "δ = Σ δ′ · ∂y/∂x"} = ${sum} = ${number(value)}`;
}

const largestFirst = terms => [...terms].sort((a, b) => Math.abs(b.value * b.weight) - Math.abs(a.value * a.weight));

function tellTerms({half}, terms) {
  const [body, more] = [$("element").querySelector("tbody"), $("more")], sorted = largestFirst(terms);
  const heads = half === "y" ? ["x below", "x", "weight", "x · w"] : ["δ above", "δ′", "∂y/∂x", "product"];
  $("element").querySelector("table").hidden = terms.length === 0;
  [...$("element").querySelectorAll("th")].forEach((cell, i) => { cell.textContent = heads[i]; });
  body.replaceChildren(...sorted.slice(0, whole ? terms.length : SHOWN).map(term => {
    const row = element("tr"), first = row.appendChild(element("td"));
    const button = element("button", placeName(term.layer, term.index));
    button.addEventListener("click", () => choose({half, layer: term.layer, index: term.index}));
    first.append(button);
    row.append(element("td", number(term.value)), element("td", number(term.weight)),
      element("td", number(term.value * term.weight)));
    if (term.name) row.children[2].append(element("small", term.name));
    return row;
  }));
  const rest = sorted.slice(SHOWN), left = rest.reduce((sum, {value, weight}) => sum + value * weight, 0);
  more.hidden = rest.length === 0;
  more.textContent = whole ? "Only the largest" : `${rest.length} more, together ${number(left)}`;
}

// Where a window of a map takes part: its numbers, the weights as they lie on it, their products.
function tellPatches({half}, terms) {
  const place = $("patches"), maps = new Map();
  place.replaceChildren();
  const shape = terms.length ? state.source.layers[terms[0].layer].shape : [1];
  if (shape.length === 1 || terms.length < 2) return;
  const {w, maps: count} = extent(shape);
  for (const term of terms) {
    const map = term.index % count;
    if (!maps.has(map)) maps.set(map, []);
    maps.get(map).push({...term, p: Math.floor((term.index - map) / count / w), q: ((term.index - map) / count) % w});
  }
  const sums = [...maps].map(([map, own]) => [map, own, own.reduce((s, t) => s + t.value * t.weight, 0)])
    .filter(([, own]) => own.length > 1).sort((a, b) => Math.abs(b[2]) - Math.abs(a[2])).slice(0, 4);
  if (!sums.length) return;
  const heads = half === "y" ? ["x", "weights", "products"] : ["δ above", "weights", "products"];
  place.append(...heads.map(text => element("span", text)), element("span"));
  for (const [map, own, sum] of sums) {
    const top = Math.min(...own.map(t => t.p)), left = Math.min(...own.map(t => t.q));
    const h = Math.max(...own.map(t => t.p)) - top + 1, wide = Math.max(...own.map(t => t.q)) - left + 1;
    for (const of of [t => t.value, t => t.weight, t => t.value * t.weight]) {
      const values = new Float64Array(h * wide), canvas = element("canvas");
      for (const term of own) values[(term.p - top) * wide + term.q - left] = of(term);
      place.append(canvas);
      paint(canvas, [h, wide, 1], values, 70, {zoom: 50 / Math.max(h, wide)});
    }
    place.append(element("span", `map ${map}: ${number(sum)}`));
  }
}
