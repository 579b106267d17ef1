// The page's hands: draws what arithmetic.js computes, and listens. Everything can be reached by keyboard.
"use strict";

const $ = (id) => document.getElementById(id);
const text = (value) => String(Math.round(value * 1000) / 1000).replace("-", "−");
const CROPS = JSON.parse($("crops").textContent);
const FILTERS = {
  "vertical edge": [[1, 0, -1], [1, 0, -1], [1, 0, -1]], "horizontal edge": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
  "outline": [[0, -1, 0], [-1, 4, -1], [0, -1, 0]], "sum (blur)": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
  "nothing changes": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
};
const state = { crop: 0, weight: FILTERS["vertical edge"].map((row) => [...row]), bias: 0, stride: 1, padding: 0, at: [3, 2],
  pool: 2, step: 2, poolAt: [0, 0], dy: null, part: 0 };

// A colour and one that can be read on it. Grey for a brightness of 0 to 9; blue to orange for a number with a sign.
function grey(value) {
  const level = Math.round(28 + 227 * Math.max(0, Math.min(9, value)) / 9);
  return [`rgb(${level},${level},${level})`, level > 135 ? "#000" : "#fff"];
}
function signed(value, largest) {
  const share = largest ? Math.min(1, Math.abs(value) / largest) : 0, end = value < 0 ? [20, 84, 143] : [190, 74, 8];
  const mixed = end.map((one) => Math.round(250 + (one - 250) * share));
  return [`rgb(${mixed})`, share > 0.55 ? "#fff" : "#000"];
}
const largest = (grid) => Math.max(0, ...grid.flat().map(Math.abs));

// A table of numbers. look(value, i, j) → {colours, classes, label}; pick(i, j): its places are buttons, one in the tab order,
// the arrow keys go from one to the next.
function draw(id, grid, look, pick, at) {
  const table = $(id), focused = table.contains(document.activeElement);
  table.replaceChildren();
  const body = table.createTBody();
  grid.forEach((row, i) => {
    const line = body.insertRow();
    row.forEach((value, j) => {
      const cell = line.insertCell(), { colours, classes = "", label } = look(value, i, j);
      const face = pick ? document.createElement("button") : cell;
      face.textContent = text(value);
      face.style.background = colours[0];
      face.style.color = colours[1];
      if (label) face.setAttribute("aria-label", label);
      cell.className = classes;
      if (!pick) return;
      const here = at[0] === i && at[1] === j;
      face.type = "button";
      face.tabIndex = here ? 0 : -1;
      face.setAttribute("aria-pressed", here);
      face.addEventListener("click", () => { stop(); pick(i, j, true); });
      face.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse" && !timer) pick(i, j); });
      face.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        if (!step) return;
        event.preventDefault();
        stop();
        pick(Math.min(grid.length - 1, Math.max(0, i + step[0])), Math.min(row.length - 1, Math.max(0, j + step[1])), true);
      });
      cell.append(face);
      if (here && focused) face.focus({ preventScroll: true });
    });
  });
}

// A table of fields to type numbers into.
function fields(id, grid, label, changed) {
  const table = $(id);
  table.replaceChildren();
  const body = table.createTBody();
  grid.forEach((row, i) => {
    const line = body.insertRow();
    row.forEach((value, j) => {
      const field = document.createElement("input");
      Object.assign(field, { type: "text", inputMode: "decimal", value: String(value).replace("-", "−"), autocomplete: "off" });
      field.setAttribute("aria-label", label(i, j));
      field.addEventListener("focus", () => field.select());
      field.addEventListener("input", () => {
        const typed = field.value.replace("−", "-").trim(), number = Number(typed);
        const good = typed !== "" && Number.isFinite(number) && Math.abs(number) <= 1000;
        field.setAttribute("aria-invalid", !good);
        if (good) changed(i, j, number);
      });
      line.insertCell().append(field);
    });
  });
}

const pixels = () => CROPS[state.crop].values;

function drawFilter() {
  const x = pixels(), { weight, bias, stride, padding } = state, y = conv2d(x, weight, bias, stride, padding);
  state.at = [Math.min(state.at[0], y.length - 1), Math.min(state.at[1], y[0].length - 1)];
  const [i, j] = state.at, terms = products(x, weight, stride, padding, i, j), rim = padding, last = rim + x.length;
  const inside = (row, column) => row >= i * stride && row < i * stride + 3 && column >= j * stride && column < j * stride + 3;
  draw("x", padded(x, padding), (value, row, column) => {
    const border = row < rim || column < rim || row >= last || column >= last;
    return { colours: border ? ["transparent", "inherit"] : grey(value), classes: (border ? "border " : "") + (inside(row, column) ? "window" : "") };
  });
  const most = largest(y);
  draw("y", y, (value, row, column) => ({
    colours: signed(value, most), classes: row === i && column === j ? "window" : "",
    label: `output row ${row + 1}, column ${column + 1}: ${text(value)}` }),
    (row, column) => { state.at = [row, column]; drawFilter(); }, state.at);
  const size = Math.max(...terms.map((one) => Math.abs(one.product)));
  draw("terms", [0, 1, 2].map((u) => terms.slice(3 * u, 3 * u + 3).map((one) => one.product)), (value) => ({ colours: signed(value, size) }));
  const sum = terms.map((one) => `${text(one.pixel)}·${one.weight < 0 ? `(${text(one.weight)})` : text(one.weight)}`).join(" + ");
  $("sum").textContent = `${sum}${bias ? ` + bias ${text(bias)}` : ""} = ${text(y[i][j])}`;
  $("shape").textContent = `⌊(8 + 2·${padding} − 3) / ${stride}⌋ + 1 = ${y.length}`;
  $("count").textContent = `${y.length} × ${y.length} outputs, ${9 * y.length ** 2} multiplications`;
}

function drawPool() {
  const x = pixels(), { pool, step } = state, won = maxPool(x, pool, step), y = won.map((row) => row.map((one) => one.value));
  if (!state.dy || state.dy.length !== y.length) {
    state.dy = y.map((row, i) => row.map((_, j) => ((i + j) % 3) + 1));
    fields("dy", state.dy, (i, j) => `blame of output row ${i + 1}, column ${j + 1}`, (i, j, value) => { state.dy[i][j] = value; drawPool(); });
  }
  state.poolAt = [Math.min(state.poolAt[0], y.length - 1), Math.min(state.poolAt[1], y.length - 1)];
  const [i, j] = state.poolAt, here = won[i][j], winners = new Set(), equals = new Set();
  won.flat().forEach((one) => { winners.add(`${one.row},${one.column}`); one.equals.forEach((at) => equals.add(`${at.row},${at.column}`)); });
  const mine = new Set([here, ...here.equals].map((one) => `${one.row},${one.column}`));
  const inside = (row, column) => row >= i * step && row < i * step + pool && column >= j * step && column < j * step + pool;
  draw("px", x, (value, row, column) => {
    const at = `${row},${column}`, mark = winners.has(at) ? "won " : equals.has(at) ? "equal " : "";
    return { colours: grey(value), classes: mark + (inside(row, column) ? "window " : "") + (mine.has(at) ? "here" : "") };
  });
  draw("py", y, (value, row, column) => ({ colours: grey(value), classes: row === i && column === j ? "window" : "",
    label: `window row ${row + 1}, column ${column + 1}: largest ${text(value)}` }),
    (row, column) => { state.poolAt = [row, column]; drawPool(); }, state.poolAt);
  const dx = maxPoolGradient(x, state.dy, pool, step), most = largest(dx);
  draw("dx", dx, (value, row, column) => ({ colours: value ? signed(value, most) : ["transparent", "inherit"],
    classes: (value ? "" : "none ") + (row === here.row && column === here.column ? "window" : "") }));
  [...$("dy").rows].forEach((line, row) => [...line.cells].forEach((cell, column) => { cell.className = row === i && column === j ? "window" : ""; }));
  const shares = won.flat().filter((one) => one.row === here.row && one.column === here.column).length;
  const tie = here.equals.length ? ` ${here.equals.length === 1 ? "One other pixel is" : `${here.equals.length} other pixels are`} as bright: the first in reading order wins, the rest get nothing.` : "";
  const more = shares > 1 ? ` It wins ${shares} windows, so their blame is added up: ${text(dx[here.row][here.column])}.` : "";
  $("poolsaid").textContent = `Here ${text(here.value)} wins, row ${here.row + 1}, column ${here.column + 1}.${tie} Back it gets the whole blame of this window, ${text(state.dy[i][j])}.${more}`;
}

const PARTS = [
  ["Four pixels in a row, three taps", "Directly, each of two outputs is three products: six multiplications. Go on to see how four are enough."],
  ["The filter is prepared: G g", "Once for a filter, not once for each place, so its halves cost nothing in the long run."],
  ["The pixels are prepared: Bᵀ d", "Only additions and subtractions."],
  ["Four multiplications: m = G g ⊙ Bᵀ d", "Place by place. These are the only multiplications that depend on the picture."],
  ["Back: y = Aᵀ m", "Additions again. Both outputs are exactly those of the six multiplications."],
];

function drawWinograd() {
  const read = (name, count) => Array.from({ length: count }, (_, k) => {
    const field = $(`${name}${k}`), value = parseFraction(field.value);
    field.setAttribute("aria-invalid", value === null);
    return value;
  });
  const d = read("d", 4), g = read("g", 3);
  if ([...d, ...g].includes(null)) { $("partsaid").textContent = "A whole number, a decimal or a fraction such as 2/3 is expected."; return; }
  const w = winograd(d, g), part = state.part, s = shown, sub = (k) => "₀₁₂₃"[k];
  const sign = (a) => (a.n < 0n ? `(${s(a)})` : s(a));
  $("part").textContent = `${part + 1} of ${PARTS.length}: ${PARTS[part][0]}`;
  $("partsaid").textContent = PARTS[part][1];
  const rows = [
    ["G g", [`g₀ = ${s(w.filter[0])}`, `(g₀ + g₁ + g₂)/2 = ${s(w.filter[1])}`, `(g₀ − g₁ + g₂)/2 = ${s(w.filter[2])}`, `g₂ = ${s(w.filter[3])}`]],
    ["Bᵀ d", [`d₀ − d₂ = ${s(w.inputs[0])}`, `d₁ + d₂ = ${s(w.inputs[1])}`, `d₂ − d₁ = ${s(w.inputs[2])}`, `d₁ − d₃ = ${s(w.inputs[3])}`]],
    ["m", w.products.map((m, k) => `m${sub(k)} = ${sign(w.filter[k])} · ${sign(w.inputs[k])} = ${s(m)}`)],
  ];
  const table = $("steps");
  table.replaceChildren();
  rows.forEach(([name, cells], k) => {
    const line = table.insertRow(), head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    line.append(head);
    cells.forEach((cell) => { line.insertCell().textContent = part > k ? cell : "·"; });
    line.className = part === k + 1 ? "now" : part > k ? "" : "later";
  });
  const y = $("outputs");
  y.replaceChildren();
  const formulas = [`y₀ = m₀ + m₁ + m₂ = ${s(w.outputs[0])}`, `y₁ = m₁ − m₂ − m₃ = ${s(w.outputs[1])}`];
  formulas.forEach((formula) => { const p = document.createElement("p"); p.textContent = part === 4 ? formula : "·"; y.append(p); });
  y.className = part === 4 ? "now" : "later";
  $("direct").replaceChildren(...w.direct.map((terms, i) => {
    const p = document.createElement("p");
    p.textContent = `y${sub(i)} = ${terms.map((_, k) => `${sign(d[i + k])}·${sign(g[k])}`).join(" + ")} = ${s(w.sums[i])}`;
    return p;
  }));
  const done = part < 3 ? 0 : 4;
  $("dots").replaceChildren(...[["this way", done, 4], ["directly", 6, 6]].map(([name, count, all]) => {
    const p = document.createElement("p");
    p.textContent = `${"●".repeat(count)}${"○".repeat(all - count)} ${count} multiplications ${name}`;
    return p;
  }));
  $("back").disabled = part === 0;
  $("next").disabled = part === PARTS.length - 1;
}

let timer = null;
function stop() { clearInterval(timer); timer = null; $("slide").textContent = "Slide"; }
function slide() {
  if (timer) { stop(); return; }
  $("slide").textContent = "Stop";
  timer = setInterval(() => {
    const size = outputSize(8, 3, state.stride, state.padding), place = (state.at[0] * size + state.at[1] + 1) % size ** 2;
    state.at = [Math.floor(place / size), place % size];
    drawFilter();
  }, 450);
}

function choose(id, changed) {
  $(id).addEventListener("change", () => { stop(); changed(Number($(id).value)); });
}

function drawCrop() {
  const crop = CROPS[state.crop];
  $("cell").src = crop.picture;
  $("cell").alt = `${crop.name}, 64 × 64 pixels`;
  $("frame").style.cssText = `left:${100 * crop.left / 64}%;top:${100 * crop.top / 64}%`;
  $("cropsaid").textContent = crop.said;
  const varied = crop.values.map((row) => new Set(row.slice(2, 6)).size), row = varied.indexOf(Math.max(...varied));
  [0, 1, 2, 3].forEach((k) => { $(`d${k}`).value = crop.values[row][k + 2]; });
  const tied = maxPool(crop.values, state.pool, state.step).flatMap((line, i) => line.map((won, j) => ({ at: [i, j], won })))
    .find(({ won }) => won.value > 0 && won.equals.length);
  Object.assign(state, { dy: null, poolAt: tied ? tied.at : [0, 0] });
  drawFilter();
  drawPool();
  drawWinograd();
}

function filterFields() {
  fields("w", state.weight, (i, j) => `weight row ${i + 1}, column ${j + 1}`, (i, j, value) => {
    stop(); state.weight[i][j] = value; $("preset").value = ""; drawFilter();
  });
}

choose("crop", (value) => { state.crop = value; drawCrop(); });
choose("stride", (value) => { state.stride = value; drawFilter(); });
choose("padding", (value) => { state.padding = value; drawFilter(); });
choose("pool", (value) => { state.pool = value; state.dy = null; drawPool(); });
choose("step", (value) => { state.step = value; state.dy = null; drawPool(); });
$("preset").addEventListener("change", () => {
  const chosen = FILTERS[$("preset").value];
  stop();
  if (chosen) { state.weight = chosen.map((row) => [...row]); filterFields(); drawFilter(); }
});
$("bias").addEventListener("input", () => {
  const typed = $("bias").value.replace("−", "-").trim(), value = Number(typed), good = typed !== "" && Number.isFinite(value);
  $("bias").setAttribute("aria-invalid", !good);
  if (good) { stop(); state.bias = value; drawFilter(); }
});
$("slide").addEventListener("click", slide);
$("next").addEventListener("click", () => { state.part++; drawWinograd(); if ($("next").disabled) $("back").focus(); });
$("back").addEventListener("click", () => { state.part--; drawWinograd(); if ($("back").disabled) $("next").focus(); });
for (const id of ["d0", "d1", "d2", "d3", "g0", "g1", "g2"]) $(id).addEventListener("input", drawWinograd);
$("preset").append(...["", ...Object.keys(FILTERS)].map((name) => new Option(name || "your own", name)));
$("preset").value = "vertical edge";
$("crop").append(...CROPS.map((crop, k) => new Option(crop.name, k)));
filterFields();
drawCrop();
