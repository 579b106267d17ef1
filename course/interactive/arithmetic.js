// What the page computes: one channel, numbers or exact fractions. No part of a browser is needed, so that node can test it
// against scratchnet/reference.py. Images are lists of rows.
"use strict";

// ⌊(size + 2 · padding − window) / stride⌋ + 1; 0 where the window does not fit.
function outputSize(size, window, stride, padding) {
  const room = size + 2 * padding - window;
  return room < 0 ? 0 : Math.floor(room / stride) + 1;
}

// The image with a border of zeros.
function padded(x, padding) {
  const width = x[0].length + 2 * padding, zeros = (n) => Array.from({ length: n }, () => new Array(width).fill(0));
  const rows = x.map((row) => [...new Array(padding).fill(0), ...row, ...new Array(padding).fill(0)]);
  return [...zeros(padding), ...rows, ...zeros(padding)];
}

// The products below the window of output place (i, j): [{row, column, pixel, weight, product}], rows and columns of the
// padded image.
function products(x, weight, stride, padding, i, j) {
  const image = padded(x, padding);
  return weight.flatMap((line, u) => line.map((w, v) => {
    const row = i * stride + u, column = j * stride + v, pixel = image[row][column];
    return { row, column, pixel, weight: w, product: pixel * w };
  }));
}

// y[i][j] = bias + Σ over u, v of x[i · stride + u][j · stride + v] · weight[u][v], x with its border of zeros.
function conv2d(x, weight, bias, stride, padding) {
  const height = outputSize(x.length, weight.length, stride, padding);
  const width = outputSize(x[0].length, weight[0].length, stride, padding);
  return Array.from({ length: height }, (_, i) => Array.from({ length: width }, (_, j) =>
    products(x, weight, stride, padding, i, j).reduce((sum, one) => sum + one.product, bias)));
}

// Each window's largest value; the place that won it, the first in reading order among equals; and the equals that did not.
function maxPool(x, size, stride) {
  const height = outputSize(x.length, size, stride, 0), width = outputSize(x[0].length, size, stride, 0);
  return Array.from({ length: height }, (_, i) => Array.from({ length: width }, (_, j) => {
    let best = null, equals = [];
    for (let u = 0; u < size; u++) for (let v = 0; v < size; v++) {
      const row = i * stride + u, column = j * stride + v, value = x[row][column];
      if (best === null || value > best.value) { best = { value, row, column }; equals = []; }
      else if (value === best.value) equals.push({ row, column });
    }
    return { ...best, equals };
  }));
}

// dx: each dy goes to the place that won its window; where windows overlap, it is added.
function maxPoolGradient(x, dy, size, stride) {
  const dx = x.map((row) => row.map(() => 0));
  maxPool(x, size, stride).forEach((line, i) => line.forEach((won, j) => { dx[won.row][won.column] += dy[i][j]; }));
  return dx;
}

// A fraction in lowest terms, {n, d} of BigInt, d > 0.
function fraction(n, d = 1n) {
  const gcd = (a, b) => (b ? gcd(b, a % b) : a < 0n ? -a : a), sign = d < 0n ? -1n : 1n, by = gcd(n, d) || 1n;
  return { n: (sign * n) / by, d: (sign * d) / by };
}

// "3", "-1.25", "2/3" → a fraction; null for anything else.
function parseFraction(text) {
  const found = /^\s*([-+−]?)(\d+)(?:\.(\d+))?(?:\/(\d+))?\s*$/.exec(text);
  if (!found || (found[3] && found[4]) || (found[4] && BigInt(found[4]) === 0n)) return null;
  const digits = found[3] || "", n = BigInt(found[2] + digits);
  return fraction(found[1] === "-" || found[1] === "−" ? -n : n, found[4] ? BigInt(found[4]) : 10n ** BigInt(digits.length));
}

const plus = (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
const minus = (a, b) => fraction(a.n * b.d - b.n * a.d, a.d * b.d);
const times = (a, b) => fraction(a.n * b.n, a.d * b.d);
const half = (a) => fraction(a.n, 2n * a.d);
const shown = (a) => `${a.n < 0n ? "−" : ""}${a.n < 0n ? -a.n : a.n}${a.d === 1n ? "" : `/${a.d}`}`;

// F(2, 3): two outputs of a filter of three taps over four inputs, with 4 multiplications (Winograd 1980). All fractions.
// filter G g, inputs Bᵀ d, their products, outputs Aᵀ m; and the same outputs by 6 multiplications.
function winograd(d, g) {
  const outer = plus(g[0], g[2]);
  const filter = [g[0], half(plus(outer, g[1])), half(minus(outer, g[1])), g[2]];
  const inputs = [minus(d[0], d[2]), plus(d[1], d[2]), minus(d[2], d[1]), minus(d[1], d[3])];
  const m = filter.map((one, k) => times(one, inputs[k]));
  const outputs = [plus(plus(m[0], m[1]), m[2]), minus(minus(m[1], m[2]), m[3])];
  const direct = [0, 1].map((i) => g.map((tap, k) => times(tap, d[i + k])));
  return { filter, inputs, products: m, outputs, direct, sums: direct.map((row) => row.reduce(plus)) };
}

if (typeof module !== "undefined") {
  module.exports = { outputSize, padded, products, conv2d, maxPool, maxPoolGradient, fraction, parseFraction, shown, winograd };
}
