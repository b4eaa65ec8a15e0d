"use strict";
// The network, run in the browser in float64.
//
// LINKS says of every operation which elements of x an output reads: links(o, see) calls
// see(i, w, at) for each of them, where w = ∂y_o/∂x_i, and `at` is the parameter that w is, if it is
// one. All else follows: y_o = b_o + Σᵢ w xᵢ, but for curves; ∂x_i = Σₒ δ_o w; and what an element
// is made of are the terms of these sums.

// Where the window at a place of the output lies: see(element of the map, tap of the window).
function taps({input, size, output, stride, low, dilation, between}, place, see) {
  const p = Math.floor(place / output[1]), q = place % output[1];
  for (let a = 0; a < size[0]; a++) {
    const row = p * stride[0] + a * dilation[0] - low[0];
    if (row < 0 || row % between[0] || row / between[0] >= input[0]) continue;
    for (let b = 0; b < size[1]; b++) {
      const column = q * stride[1] + b * dilation[1] - low[1];
      if (column < 0 || column % between[1] || column / between[1] >= input[1]) continue;
      see((row / between[0]) * input[1] + column / between[1], a * size[1] + b);
    }
  }
}

function logisticSlope(u) {
  const small = Math.exp(-Math.abs(u));
  return small / ((1 + small) * (1 + small));
}

const CURVES = {tanh: Math.tanh, sigmoid: u => 1 / (1 + Math.exp(-u))};

const LINKS = {
  conv({window, table, arrays, features}, x) {
    const channels = x.length / (window.input[0] * window.input[1]);
    const width = channels / window.groups, each = features / window.groups;
    const reads = table && table.map(maps => new Set(maps));
    return (o, see) => {
      const d = o % features, first = Math.floor(d / each) * width;
      taps(window, (o - d) / features, (i, tap) => {
        for (let c = 0; c < width; c++) {
          if (reads && !reads[d].has(first + c)) continue;
          const at = (tap * width + c) * features + d;
          see(i * channels + first + c, arrays.kernel[at], at);
        }
      });
    };
  },
  dense({arrays, features}) {
    const inputs = arrays.weight.length / features;
    return (o, see) => {
      const d = o % features, first = ((o - d) / features) * inputs;
      for (let c = 0; c < inputs; c++) see(first + c, arrays.weight[c * features + d], c * features + d);
    };
  },
  max({window, features}, x) {
    return (o, see) => {
      const c = o % features;
      let best = -1;
      taps(window, (o - c) / features, i => {
        if (best < 0 || x[i * features + c] > x[best]) best = i * features + c;
      });
      see(best, 1);
    };
  },
  sum({window, share, features}) {
    return (o, see) => {
      const c = o % features, place = (o - c) / features;
      taps(window, place, i => see(i * features + c, share[place]));
    };
  },
  scale: ({arrays, features}) => (o, see) => see(o, arrays.scale[o % features], o % features),
  identity: () => (o, see) => see(o, 1),
  relu: (_, x) => (o, see) => see(o, x[o] > 0 ? 1 : 0),
  tanh: (_, x) => (o, see) => see(o, 4 * logisticSlope(2 * x[o])),
  sigmoid: (_, x) => (o, see) => see(o, logisticSlope(x[o])),
};

const links = (layer, x) => LINKS[layer.operation](layer, x);

function forward(layer, x) {
  if (CURVES[layer.operation]) return x.map(CURVES[layer.operation]);
  const y = new Float64Array(layer.size), read = links(layer, x), {bias} = layer.arrays;
  for (let o = 0; o < y.length; o++) {
    let sum = bias ? bias[o % bias.length] : 0;
    read(o, (i, w) => { sum += w * x[i]; });
    y[o] = sum;
  }
  return y;
}

function backward(layer, x, delta) {
  const below = new Float64Array(x.length), read = links(layer, x);
  for (let o = 0; o < delta.length; o++) {
    const d = delta[o];
    if (d !== 0) read(o, (i, w) => { below[i] += w * d; });
  }
  return below;
}

function softmax(u) {
  const largest = Math.max(...u), powers = u.map(value => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return {probabilities: powers.map(value => value / sum), logarithm: largest + Math.log(sum)};
}

// The parameter's name, as jaxcnn's arrays have it.
function parameterName({operation, window, features, arrays}, at) {
  if (at === undefined) return "";
  if (operation === "scale") return `γ[${at}]`;
  if (operation === "dense") return `W[${Math.floor(at / features)}, ${at % features}]`;
  const taps = window.size[0] * window.size[1], width = arrays.kernel.length / taps / features;
  const tap = Math.floor(at / features / width), c = Math.floor(at / features) % width;
  const along = [Math.floor(tap / window.size[1]), tap % window.size[1]].slice(window.rank === 1 ? 1 : 0);
  return `k[${[...along, c, at % features].join(", ")}]`;
}

function floats(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return Float64Array.from(new Float32Array(bytes.buffer));
}

const product = sizes => sizes.reduce((total, size) => total * size, 1);

// What view.js asks: `look` runs the network, `explain` says what an element is made of.
function makeSource(data) {
  const layers = [{name: "input", kind: "the image", operation: "", formula: "", shape: data.shape},
    ...data.layers];
  for (const layer of layers) {
    layer.size = product(layer.shape);
    layer.features = layer.shape.at(-1);
  }
  const images = data.images.map((text, number) => ({
    values: floats(text), label: data.labels ? data.labels[number] : null,
    target: data.targets ? floats(data.targets[number]) : null,
  }));
  const last = layers.length - 1, read = new Map();
  let epoch = -1, now = null;

  function use(number) {
    if (number === epoch) return;
    epoch = number;
    if (!read.has(number)) read.set(number, floats(data.epochs[number].numbers));
    let begin = 0;
    for (const layer of data.layers)
      layer.arrays = Object.fromEntries(Object.entries(layer.sizes).map(([name, size]) =>
        [name, read.get(number).subarray(begin, begin += size)]));
  }

  function look({drawing, image, start, epoch: number}) {
    use(number);
    const y = [drawing ? drawing.map(value => (value - data.mean) / data.std) : images[image].values];
    for (const layer of data.layers) y.push(forward(layer, y.at(-1)));
    const {probabilities, logarithm} = softmax(y[last]), delta = Array(last + 1);
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    // δ = softmax(y) − [k = t] of a class that the network is sure of is next to nothing.
    const index = start.index ?? order[start.kind === "class" ? 1 : 0];
    const target = images[image ?? 0].target;
    let loss = y[last][index];
    if (start.kind === "class") {
      delta[last] = probabilities.map((p, k) => p - (k === index));
      loss = logarithm - y[last][index];
    } else if (start.kind === "target") {
      delta[last] = y[last].map((value, o) => value - target[o]);
      loss = delta[last].reduce((sum, d) => sum + d * d / 2, 0);
    } else delta[last] = y[last].map((_, o) => Number(o === index));
    for (let l = last; l > 0; l--) delta[l - 1] = backward(layers[l], y[l - 1], delta[l]);
    now = {y, delta, loss, index, start: start.kind, target,
      probabilities: layers[last].shape.length === 1 && layers[last].size > 1 ? probabilities : null};
    return now;
  }

  function explain({half, layer: l, index}) {
    const {y, delta} = now, terms = [];
    if (half === "y") {
      const layer = layers[l], curve = Boolean(CURVES[layer.operation]);
      if (l > 0) links(layer, y[l - 1])(index, (i, w, at) => terms.push({layer: l - 1, index: i,
        value: y[l - 1][i], weight: w, name: parameterName(layer, at)}));
      const bias = layer.arrays?.bias;
      return {value: y[l][index], terms, curve, bias: bias ? bias[index % bias.length] : null};
    }
    if (l === last) return {value: delta[l][index], terms, y: y[l][index]};
    const above = layers[l + 1], reading = links(above, y[l]);
    for (let o = 0; o < above.size; o++)
      reading(o, (i, w, at) => { if (i === index) terms.push({layer: l + 1, index: o,
        value: delta[l + 1][o], weight: w, name: parameterName(above, at)}); });
    return {value: delta[l][index], terms};
  }

  const [h, w, channels] = data.shape, drawn = data.shape.length === 3 && channels === 1;
  const output = layers[last];
  const starts = [...(data.targets ? ["target"] : []),
    ...(output.shape.length === 1 && output.size > 1 ? ["class"] : []), "unit"];
  return {layers, images, look, explain, explained: ["y", "delta"], starts, names: data.names,
    epochs: data.epochs.map(({name}) => name), range: [-data.mean / data.std, (1 - data.mean) / data.std],
    drawing: drawn ? {height: h, width: w, ink: data.ink} : null};
}
