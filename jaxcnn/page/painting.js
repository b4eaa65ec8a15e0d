"use strict";
// Maps and vectors as pictures in which an element can be chosen; and the pad that is drawn on.

const darkness = matchMedia("(prefers-color-scheme: dark)");

// Zero is the paper; both ends are told apart by every kind of colour vision (PuOr of ColorBrewer).
function palette() {
  return darkness.matches
    ? {zero: [28, 34, 41], plus: [255, 176, 92], minus: [176, 160, 255], mark: "#56b4e9", ink: "#e4e8ee",
       edge: "#4a5563", halo: "#000"}
    : {zero: [255, 255, 255], plus: [179, 88, 6], minus: [84, 39, 136], mark: "#0072b2", ink: "#1d2530",
       edge: "#c3cad3", halo: "#fff"};
}

const css = rgb => `rgb(${rgb.map(Math.round).join(" ")})`;

function blend(colours, part) {
  const end = part < 0 ? colours.minus : colours.plus, share = Math.min(1, Math.abs(part) || 0);
  return colours.zero.map((channel, i) => channel + (end[i] - channel) * share);
}

function largest(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

// Rows, columns and maps of a shape; a vector is one row of bars.
function extent(shape) {
  if (shape.length === 1) return {h: 1, w: shape[0], maps: 1, vector: true};
  return {h: shape.length === 2 ? 1 : shape[0], w: shape.at(-2), maps: shape.at(-1), vector: false};
}

function resize(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(canvas.width / width, canvas.height / height);
  context.imageSmoothingEnabled = false;
  return context;
}

const scratch = document.createElement("canvas");

// All maps side by side, in as many rows as fit into `room` pixels.
// how: range: [black, white] of an image, otherwise zero is in the middle; marked: elements whose
// surroundings are outlined in each map; chosen: one element; zoom: pixels of an element.
function paint(canvas, shape, values, room, how = {}) {
  const {h, w, maps, vector} = extent(shape), colours = palette();
  if (vector) return paintBars(canvas, values, room, how, colours);
  const usual = maps === 1 ? Math.min(20, Math.max(4, 128 / h)) : h > 20 ? 2 : h > 8 ? 4 : 8;
  const across = Math.max(0.5, Math.min(how.zoom ?? usual, (room - 2) / w));
  const down = h === 1 ? 24 : across, gap = 4, stepX = w * across + gap, stepY = h * down + gap;
  const columns = Math.max(1, Math.min(maps, Math.floor((room + gap) / stepX)));
  const rows = Math.ceil(maps / columns);
  const context = resize(canvas, Math.ceil(columns * stepX), Math.ceil(rows * stepY));
  canvas.layout = {h, w, maps, across, down, stepX, stepY, columns};
  const size = how.range ? 1 : largest(values) || 1, [black, white] = how.range ?? [0, 1];
  scratch.width = w; scratch.height = h;
  const small = scratch.getContext("2d", {willReadFrequently: true}), picture = small.createImageData(w, h);
  const colour = how.range && maps === 3;
  for (let map = 0; map < (colour ? 1 : maps); map++) {
    for (let i = 0; i < h * w; i++) {
      const grey = c => 255 * Math.min(1, Math.max(0, (values[i * maps + c] - black) / (white - black)));
      const rgb = colour ? [grey(0), grey(1), grey(2)] : how.range ? Array(3).fill(grey(map))
        : blend(colours, values[i * maps + map] / size);
      picture.data.set(rgb, 4 * i);
      picture.data[4 * i + 3] = 255;
    }
    small.putImageData(picture, 0, 0);
    const x = (map % columns) * stepX + 1, y = Math.floor(map / columns) * stepY + 1;
    context.drawImage(scratch, x, y, w * across, h * down);
    context.strokeStyle = colours.edge; context.lineWidth = 1;
    context.strokeRect(x - 0.5, y - 0.5, w * across + 1, h * down + 1);
  }
  outline(canvas, context, how, colours);
}

// Where an element is on its canvas: left, top, width, height.
function boxOf({w, maps, across, down, stepX, stepY, columns, bars}, index) {
  if (bars) return [index * across, 0, across, down];
  const map = index % maps, place = (index - map) / maps;
  return [(map % columns) * stepX + 1 + (place % w) * across,
    Math.floor(map / columns) * stepY + 1 + Math.floor(place / w) * down, across, down];
}

function outline(canvas, context, {marked = [], chosen}, colours) {
  const around = new Map();
  for (const index of marked) {
    const [x, y, width, height] = boxOf(canvas.layout, index);
    const map = canvas.layout.bars ? 0 : index % canvas.layout.maps;
    const box = around.get(map) ?? [x, y, x + width, y + height];
    around.set(map, [Math.min(box[0], x), Math.min(box[1], y),
      Math.max(box[2], x + width), Math.max(box[3], y + height)]);
  }
  const frame = (x, y, width, height, thick) => {
    for (const [colour, line] of [[colours.halo, thick + 2], [colours.mark, thick]]) {
      context.strokeStyle = colour; context.lineWidth = line;
      context.strokeRect(x - 1, y - 1, width + 2, height + 2);
    }
  };
  for (const [left, top, right, bottom] of around.values())
    frame(left, top, right - left, bottom - top, 1);
  if (chosen !== undefined) frame(...boxOf(canvas.layout, chosen), 2);
}

function paintBars(canvas, values, room, how, colours) {
  const numbered = values.length <= 20, middle = 31, height = numbered ? 78 : 62;
  const step = Math.min(room, how.zoom ? room : 40 * values.length) / values.length;
  const context = resize(canvas, Math.ceil(step * values.length), height), size = largest(values) || 1;
  canvas.layout = {bars: true, h: 1, w: values.length, maps: 1, across: step, down: 62};
  values.forEach((value, i) => {
    const part = how.range ? value : value / size;
    context.fillStyle = css(part < 0 ? colours.minus : colours.plus);
    context.fillRect(i * step, part < 0 ? middle : middle - 29 * part, Math.max(1, step - 1), 29 * Math.abs(part));
  });
  context.fillStyle = colours.ink;
  context.fillRect(0, middle, step * values.length, 0.5);
  context.font = "11px system-ui, sans-serif"; context.textAlign = "center";
  if (numbered) values.forEach((_, i) => context.fillText(i, (i + 0.5) * step, 75));
  outline(canvas, context, how, colours);
}

// The element under a pointer, or null between the maps.
function picked(canvas, event) {
  const {h, w, maps, across, down, stepX, stepY, columns, bars} = canvas.layout;
  const box = canvas.getBoundingClientRect(), scale = parseFloat(canvas.style.width) / box.width;
  const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
  if (bars) return Math.min(w - 1, Math.max(0, Math.floor(x / across)));
  const column = Math.floor(x / stepX), map = Math.floor(y / stepY) * columns + column;
  const q = Math.floor((x - column * stepX - 1) / across);
  const p = Math.floor((y - Math.floor(y / stepY) * stepY - 1) / down);
  if (column >= columns || map >= maps || q < 0 || q >= w || p < 0 || p >= h) return null;
  return (p * w + q) * maps + map;
}

// The element beside this one, or the same of the map before or after it.
function neighbour(shape, index, key) {
  const {h, w, maps} = extent(shape), map = index % maps, place = (index - map) / maps;
  const within = (value, count) => Math.min(count - 1, Math.max(0, value));
  const [down, along, on] = {ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], ArrowUp: [-1, 0, 0],
    ArrowDown: [1, 0, 0], ",": [0, 0, -1], ".": [0, 0, 1]}[key];
  const p = within(Math.floor(place / w) + down, h), q = within((place % w) + along, w);
  return (p * w + q) * maps + within(map + on, maps);
}

// What is drawn on ------------------------------------------------------------------------------------

// A pad that calls `changed` at every stroke, and what was drawn on it in the network's pixels.
function makePad(pad, {height, width, ink}, changed) {
  const pen = pad.getContext("2d", {willReadFrequently: true});
  let drawing = null;
  pad.height = Math.round(280 * height / width);
  pad.style.aspectRatio = `${width} / ${height}`;

  function clear() {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, pad.width, pad.height);
  }

  function place(event) {
    const box = pad.getBoundingClientRect(), scale = pad.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  // One pointer draws: the mouse's main button, the pen's tip, or the first finger. Another finger,
  // a right click or a hand's edge beside the pen change nothing.
  pad.addEventListener("pointerdown", event => {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    drawing = event.pointerId;
    pad.setPointerCapture(event.pointerId);
    pen.lineWidth = 22; pen.lineCap = pen.lineJoin = "round"; pen.strokeStyle = "#fff";
    pen.beginPath();
    pen.moveTo(...place(event));
    pen.lineTo(...place(event));
    pen.stroke();
    changed();
  });
  pad.addEventListener("pointermove", event => {
    if (drawing !== event.pointerId) return;
    for (const part of event.getCoalescedEvents?.() ?? []) pen.lineTo(...place(part));
    pen.lineTo(...place(event));
    pen.stroke();
    changed();
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"])
    pad.addEventListener(kind, event => {
      if (drawing !== event.pointerId) return;
      drawing = null;
      changed();
    });

  // Brightness from 0 to 1, row by row.
  function pixels() {
    scratch.width = width; scratch.height = height;
    const small = scratch.getContext("2d", {willReadFrequently: true});
    small.imageSmoothingEnabled = true;
    small.imageSmoothingQuality = "high";
    const found = ink ? drawn(pad, pen) : {left: 0, top: 0, width: pad.width, height: pad.height};
    if (!found) return new Float64Array(width * height);
    const {left, top, width: w, height: h} = found, factor = ink ? ink / Math.max(w, h) : width / w;
    const put = (x, y) => {
      small.clearRect(0, 0, width, height);
      small.drawImage(pad, left, top, w, h, x, y, w * factor, h * factor);
      const {data} = small.getImageData(0, 0, width, height);
      return Float64Array.from({length: width * height}, (_, i) => data[4 * i] / 255);
    };
    if (!ink) return put(0, 0);
    // In whole pixels, as MNIST's digits lie: the centre of mass in the middle.
    const first = [(width - w * factor) / 2, (height - h * factor) / 2].map(Math.round);
    const mass = [0, 0, 0];
    put(...first).forEach((value, i) => {
      mass[0] += value;
      mass[1] += value * ((i % width) + 0.5);
      mass[2] += value * (Math.floor(i / width) + 0.5);
    });
    const [x, y] = [[width, w, mass[1]], [height, h, mass[2]]].map(([side, own, moment], axis) =>
      Math.min(Math.floor(side - own * factor), Math.max(0, first[axis] + Math.round(side / 2 - moment / mass[0]))));
    return put(x, y);
  }

  clear();
  return {clear, pixels};
}

// What of the pad is bright: its left, top, width and height; null of an empty one.
function drawn(pad, pen) {
  const {data} = pen.getImageData(0, 0, pad.width, pad.height);
  let left = pad.width, top = pad.height, right = -1, bottom = -1;
  for (let i = 0; i < pad.width * pad.height; i++) {
    if (data[4 * i] <= 32) continue;
    const x = i % pad.width, y = Math.floor(i / pad.width);
    left = Math.min(left, x); right = Math.max(right, x);
    top = Math.min(top, y); bottom = Math.max(bottom, y);
  }
  return right < 0 ? null : {left, top, width: right - left + 1, height: bottom - top + 1};
}
