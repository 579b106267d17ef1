// Shows the steps that the page holds as JSON: maps are drawn from one grey picture for each layer.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const STEPS = DATA.steps, $ = (id) => document.getElementById(id);
const state = { step: 0, map: 0, place: null };
const sheets = new Map();  // of each step with maps: its numbers, 0 … 255, and the width of the picture

// Black, purple, orange, yellow: brighter is more, also where colours look alike. For sums: blue, white, orange.
const HEAT = [[0, 0, 4], [27, 12, 65], [74, 12, 107], [120, 28, 109], [165, 44, 96], [207, 68, 70], [237, 105, 37], [251, 155, 6], [247, 209, 61], [252, 255, 164]];
const SIGNED = [[8, 40, 94], [33, 102, 172], [146, 193, 224], [247, 247, 247], [248, 182, 120], [214, 84, 9], [110, 34, 3]];
const COLOUR = { red: [255, 90, 80], green: [90, 220, 110], blue: [110, 150, 255] };

// At most three decimals, for the small tables.
const short = (value) => number(Number(value.toFixed(Math.abs(value) >= 10 ? 0 : Math.abs(value) >= 1 ? 1 : 3)));
const number = (value) => String(value).replace("-", "−");
const named = (step, k) => (step.labels ? step.labels[k] : `map ${step.maps[k]}`);

function mixed(table, share) {
  const at = Math.max(0, Math.min(1, share)) * (table.length - 1), k = Math.min(table.length - 2, Math.floor(at));
  return table[k].map((from, c) => Math.round(from + (table[k + 1][c] - from) * (at - k)));
}
function palette(step, k) {
  const table = step.labels ? [[0, 0, 0], COLOUR[step.labels[k]]] : step.signed ? SIGNED : HEAT;
  return Array.from({ length: 256 }, (_, byte) => mixed(table, step.signed ? (byte - 1) / 254 : byte / 255));
}
const read = (byte, step) => (step.signed ? (byte - 128) / 127 : byte / 255) * step.largest;

function make(kind, properties = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value); else made[name] = value;
  }
  made.append(...children);
  return made;
}

// The bytes of map k of a step, row by row.
function bytes(step, k) {
  const [h, w] = step.size, sheet = sheets.get(step), top = Math.floor(k / step.columns) * h, left = (k % step.columns) * w;
  const found = new Uint8Array(h * w);
  for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) found[i * w + j] = sheet.data[4 * ((top + i) * sheet.width + left + j)];
  return found;
}

function paint(canvas, step, k) {
  const [h, w] = step.size, colours = palette(step, k), found = bytes(step, k);
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext("2d"), image = context.createImageData(w, h);
  found.forEach((byte, n) => { image.data.set(colours[byte], 4 * n); image.data[4 * n + 3] = 255; });
  context.putImageData(image, 0, 0);
}

function load(step) {
  if (!step.sheet || sheets.has(step)) return Promise.resolve();
  return new Promise((done, failed) => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = make("canvas", { width: picture.width, height: picture.height });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      sheets.set(step, context.getImageData(0, 0, picture.width, picture.height));
      done();
    };
    picture.onerror = failed;
    picture.src = step.sheet;
  });
}

function chips() {
  $("steps").replaceChildren(...STEPS.map((step, n) => make("button", { type: "button", textContent: step.name, className: step.kind,
    onclick: () => go(n), ...(n === state.step ? { "aria-current": "step" } : {}) })));
  const current = $("steps").children[state.step];
  $("steps").scrollLeft = current.offsetLeft - $("steps").clientWidth / 2 + current.clientWidth / 2;
}

async function go(n, keep = false) {
  const before = STEPS[state.step], step = STEPS[n];
  await load(step);
  // The same map stays chosen where a layer has the same ones.
  const same = before.maps && step.maps && !before.labels && !step.labels ? step.maps.indexOf(before.maps[state.map]) : -1;
  Object.assign(state, { step: n, map: Math.max(0, same), place: null });
  chips();
  show();
  if (!keep) history.replaceState(null, "", `#${step.name}`);
}

function show() {
  const step = STEPS[state.step], panel = $("step");
  const move = (by, text) => make("button", { type: "button", textContent: text, className: "move", onclick: () => go(state.step + by),
    disabled: !STEPS[state.step + by] });
  panel.replaceChildren(
    make("div", { className: "head" }, make("h2", { textContent: step.name }), make("span", { className: "moves" }, move(-1, "← Back"), move(1, "Next →"))),
    make("p", { textContent: step.said }));
  $("answer").hidden = step.kind !== "answer";
  if (step.maps) showMaps(panel, step);
  else if (step.values && step.names.length) showClasses(panel, step);
  else if (step.values) showValues(panel, step);
}

function showMaps(panel, step) {
  const [h, w, count] = step.shape, large = make("canvas", { className: "large", tabIndex: 0, role: "img" });
  const image = make("img", { src: DATA.image, alt: "the image", className: "large" }), frame = make("span", { className: "frame" });
  const said = make("p", { className: "readout" }), detail = make("div");
  const thumbs = make("div", { className: "thumbs", role: "group", "aria-label": "maps" });
  const picture = (canvas, caption) => make("figure", {}, make("div", { className: "box" }, ...canvas), make("figcaption", { textContent: caption }));
  const mark = make("span", { className: "mark" });

  function place(at) {
    state.place = at;
    const [i, j] = at, byte = bytes(step, state.map)[i * step.size[1] + j], [field, jump, start] = step.sees;
    const along = (one) => start + one * step.each * jump, reach = field + (step.each - 1) * jump, size = DATA.pixels;
    const edges = [i, j].map((one) => [Math.max(0, along(one)), Math.min(size, along(one) + reach)]);
    frame.style.cssText = `top:${100 * edges[0][0] / size}%;left:${100 * edges[1][0] / size}%;height:${100 * (edges[0][1] - edges[0][0]) / size}%;width:${100 * (edges[1][1] - edges[1][0]) / size}%`;
    mark.style.cssText = `top:${100 * i / step.size[0]}%;left:${100 * j / step.size[1]}%;height:${100 / step.size[0]}%;width:${100 / step.size[1]}%`;
    const block = step.each > 1 ? ` (the furthest from zero of ${step.each} × ${step.each} positions)` : "";
    const sees = step.labels ? "" : ` It sees the framed ${field} × ${field} pixels, as far as there are any.`;
    said.textContent = `Row ${i * step.each + 1}, column ${j * step.each + 1}: ${step.labels ? byte : `about ${number(Number(read(byte, step).toPrecision(2)))}`}${block}.${sees}`;
  }
  function pick(k) {
    state.map = k;
    paint(large, step, k);
    const [value, top] = step.tops[k];
    large.setAttribute("aria-label", `${named(step, k)}, ${h} × ${w}; arrow keys move over its positions`);
    [...thumbs.children].forEach((one, n) => one.setAttribute("aria-pressed", n === k));
    $("chosen").textContent = `${named(step, k)}, largest value ${number(value)}`;
    place(top.map((one) => Math.floor(one / step.each)));
    detail.replaceChildren(...(step.made ? made(step, k) : []));
  }
  const at = (event) => {
    const box = large.getBoundingClientRect(), clip = (share, size) => Math.max(0, Math.min(size - 1, Math.floor(share * size)));
    return [clip((event.clientY - box.top) / box.height, step.size[0]), clip((event.clientX - box.left) / box.width, step.size[1])];
  };
  large.addEventListener("pointermove", (event) => place(at(event)));
  large.addEventListener("pointerdown", (event) => place(at(event)));
  large.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    place(state.place.map((one, axis) => Math.max(0, Math.min(step.size[axis] - 1, one + by[axis]))));
  });
  step.maps.forEach((_, k) => {
    const canvas = make("canvas");
    paint(canvas, step, k);
    thumbs.append(make("button", { type: "button", onclick: () => pick(k), "aria-label": named(step, k) }, canvas, make("small", { textContent: step.labels ? step.labels[k] : step.maps[k] })));
  });
  const which = step.labels ? "" : step.maps.length < count ? `The ${step.maps.length} strongest of ${count} maps, in one scale: ` : `All ${count} maps, in one scale: `;
  const scale = step.labels ? "" : step.signed ? `blue −${step.largest}, white 0, orange ${step.largest}.` : `black 0, yellow ${step.largest}.`;
  panel.append(make("div", { className: "two" }, picture([large, mark], ""), picture([image, frame], "the image, and what that position sees of it")), said,
    make("p", { className: "note", textContent: which + scale }), thumbs, detail);
  large.closest("figure").querySelector("figcaption").id = "chosen";
  pick(state.map);
}

// A small table of numbers in colours.
function grid(rows, largest, table) {
  const body = make("tbody");
  rows.forEach((row) => body.append(make("tr", {}, ...row.map((value) => {
    const colour = mixed(table, table === SIGNED ? 0.5 + value / (2 * largest || 1) : value / (largest || 1));
    const light = colour[0] * 0.3 + colour[1] * 0.59 + colour[2] * 0.11 > 140;
    const cell = make("td", { textContent: short(value) });
    cell.style.cssText = `background:rgb(${colour});color:${light ? "#000" : "#fff"}`;
    return cell;
  }))));
  return make("table", { className: "numbers small" }, body);
}

function made(step, k) {
  const found = step.made[k], before = STEPS[state.step - 1];
  const most = (key) => Math.max(...found.parts.flatMap((part) => (part[key] || [[0]]).flat().map(Math.abs)));
  const name = (part) => (before.labels ? before.labels[part.map] : `map ${part.map}`);
  const rows = found.parts.map((part) => make("div", { className: "part" }, make("b", { textContent: `${name(part)}: ${number(part.sum)}` }),
    ...(part.seen ? [grid(part.seen, most("seen"), HEAT.slice(0, 9)), make("span", { textContent: "×" }), grid(part.weights, most("weights"), SIGNED)] : [])));
  const sum = [...found.parts.map((part) => part.sum), ...(found.others ? [found.rest] : []), found.bias].map((one) => (one < 0 ? `(${number(one)})` : one)).join(" + ");
  const others = found.others ? ` The last but one is what the other ${found.others} maps add, the last is the bias.` : " The last is the bias.";
  return [make("h3", { textContent: "How its largest number comes about" }),
    make("p", { className: "note", textContent: "What the filter met there, and the filter itself, in the maps that moved it most: place by place multiplied, and added up." }),
    make("div", { className: "parts" }, ...rows), make("p", { className: "readout", textContent: `${sum} = ${number(found.value)}.${others}` })];
}

function showValues(panel, step) {
  const largest = Math.max(...step.values.map(Math.abs)) || 1, signed = step.values.some((one) => one < 0), side = Math.ceil(Math.sqrt(step.values.length));
  const canvas = make("canvas", { className: "large units", width: side, height: Math.ceil(step.values.length / side), role: "img" });
  const context = canvas.getContext("2d"), said = make("p", { className: "readout" }), alive = step.values.filter((one) => one > 0).length;
  step.values.forEach((value, n) => {
    context.fillStyle = `rgb(${signed ? mixed(SIGNED, 0.5 + value / (2 * largest)) : mixed(HEAT, value / largest)})`;
    context.fillRect(n % side, Math.floor(n / side), 1, 1);
  });
  canvas.setAttribute("aria-label", `${step.values.length} numbers as squares`);
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), row = Math.floor((event.clientY - box.top) / box.height * canvas.height);
    const n = row * side + Math.floor((event.clientX - box.left) / box.width * side);
    if (n in step.values) said.textContent = `Number ${n}: ${number(step.values[n])}`;
  });
  said.textContent = `${alive} of ${step.values.length} are above zero; the largest is number ${step.values.indexOf(Math.max(...step.values))}, ${number(Math.max(...step.values))}.`;
  panel.append(make("div", { className: "box units" }, canvas), said);
}

function showClasses(panel, step) {
  const most = Math.max(...step.made.flatMap((one) => one.parts.map((part) => Math.abs(part.sum)))) || 1;
  panel.append(make("div", { className: "parts" }, ...step.names.map((name, k) => {
    const found = step.made[k];
    return make("div", { className: "class" }, make("h3", { textContent: `${name}: ${number(step.values[k])}` }),
      ...found.parts.map((part) => {
        const bar = make("i");
        bar.style.cssText = `width:${50 * Math.abs(part.sum) / most}%;${part.sum < 0 ? "right:50%;background:rgb(33,102,172)" : "left:50%;background:rgb(214,84,9)"}`;
        return make("div", { className: "pull" }, make("span", { textContent: `${part.map}` }), make("span", { className: "track" }, bar), make("span", { textContent: `${number(part.seen)} · ${part.weights < 0 ? `(${number(part.weights)})` : part.weights} = ${number(part.sum)}` }));
      }), make("p", { className: "note", textContent: `The numbers before that moved it most. The other ${found.others} add ${number(found.rest)}, the bias ${number(found.bias)}.` }));
  })));
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select")) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by && STEPS[state.step + by]) { event.preventDefault(); go(state.step + by); }
});
go(Math.max(0, STEPS.findIndex((step) => `#${step.name}` === decodeURIComponent(location.hash))), true);
