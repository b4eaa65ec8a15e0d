"use strict";
// The network is on the server, which is asked at every stroke, and for every element that is chosen.

function bytes({unsigned, bytes: text, largest: most}) {
  const read = atob(unsigned ?? text);
  return Float64Array.from(read, letter => {
    const value = letter.charCodeAt(0);
    return unsigned === undefined ? (value > 127 ? value - 256 : value) / 127 * most : value / 255;
  });
}

async function post(path, question) {
  const response = await fetch(path, {method: "POST", body: JSON.stringify(question)});
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function makeSource({layers}) {
  const numbers = new Map(layers.map(({name}, l) => [name, l]));
  let asked = null;

  async function look({drawing, start}) {
    const question = {pixels: Array.from(drawing, value => Math.round(255 * value)), label: start.index};
    const answer = await post("look", question);
    asked = {...question, label: answer.label};
    return {
      y: [bytes({unsigned: answer.seen}), ...answer.layers.map(layer => bytes(layer.y))],
      delta: [bytes(answer.image.delta), ...answer.layers.map(layer => bytes(layer.delta))],
      probabilities: answer.probabilities, index: answer.label, loss: answer.loss,
      milliseconds: answer.milliseconds,
    };
  }

  async function explain({layer, index}) {
    const {value, terms, through} = await post("explain", {...asked, layer: layers[layer].name, index});
    return {value, through: through.map(name => numbers.get(name)), terms: terms.map(term =>
      ({layer: numbers.get(term.layer), index: term.index, value: term.delta, weight: term.weight}))};
  }

  return {layers, look, explain, explained: ["delta"], starts: ["class"], images: [], epochs: [],
    names: null, range: [0, 1], drawing: {height: 28, width: 28, ink: 20}};
}
