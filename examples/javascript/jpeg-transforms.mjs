// The inverse transforms of JPEG, as libjpeg computes them: whole numbers of 13 bits behind the point, and one or two
// more between columns and rows. A block of 8 x 8 coefficients becomes 8, 4, 2 or 1 pixels a side.

/** @typedef {Int32Array | Uint8ClampedArray} Numbers */

/** @param {number} value */
const fixed = (value) => Math.round(value * 8192);
const [F0298, F0390, F0541, F0765] = [0.298631336, 0.39018064, 0.5411961, 0.765366865].map(fixed);
const [F0899, F1175, F1501, F1847] = [0.899976223, 1.175875602, 1.50132111, 1.847759065].map(fixed);
const [F1961, F2053, F2562, F3072] = [1.96157056, 2.053119869, 2.562915447, 3.072711026].map(fixed);
const [F0211, F0509, F0601, F0720] = [0.211164243, 0.509795579, 0.601344887, 0.720959822].map(fixed);
const [F0850, F1061, F1272, F1451] = [0.850430095, 1.061594337, 1.27275858, 1.451774981].map(fixed);
const [F2172, F3624] = [2.172734803, 3.624509785].map(fixed);
const work = new Int32Array(64);
/**
 * @param {number} value
 * @param {number} bits
 */
const rounded = (value, bits) => (value + (1 << (bits - 1))) >> bits;

/**
 * The transform to so many pixels a side, of samples of 8 bits, and to 8 of samples of 12.
 *
 * @param {number} side
 * @param {number} bits
 * @returns {(block: Int32Array, shown: Numbers) => void}
 */
export function transformTo(side, bits) {
  if (bits === 12) return whole12;
  return side === 8 ? whole : side === 4 ? half : side === 2 ? quarter : eighth;
}

/**
 * @param {Int32Array} block
 * @param {Numbers} shown
 */
function whole(block, shown) {
  for (let x = 0; x < 8; x++) pass8(block, x, 8, work, x, 8, 11, 0);
  for (let y = 0; y < 8; y++) pass8(work, 8 * y, 1, shown, 8 * y, 1, 18, 128);
}

/**
 * @param {Int32Array} block
 * @param {Numbers} shown
 */
function whole12(block, shown) {
  for (let x = 0; x < 8; x++) pass8(block, x, 8, work, x, 8, 12, 0);
  for (let y = 0; y < 8; y++) pass8(work, 8 * y, 1, shown, 8 * y, 1, 17, 2048);
}

/**
 * @param {Int32Array} block
 * @param {Numbers} shown
 */
function half(block, shown) {
  for (let x = 0; x < 8; x++) if (x !== 4) pass4(block, x, 8, work, x, 8, 12, 0);
  for (let y = 0; y < 4; y++) pass4(work, 8 * y, 1, shown, 4 * y, 1, 19, 128);
}

/**
 * @param {Int32Array} block
 * @param {Numbers} shown
 */
function quarter(block, shown) {
  for (const x of [0, 1, 3, 5, 7]) pass2(block, x, 8, work, x, 8, 13, 0);
  for (let y = 0; y < 2; y++) pass2(work, 8 * y, 1, shown, 2 * y, 1, 20, 128);
}

/**
 * @param {Int32Array} block
 * @param {Numbers} shown
 */
function eighth(block, shown) {
  shown[0] = rounded(block[0], 3) + 128;
}

/**
 * Eight coefficients, from `at` on and `step` apart, to eight numbers, from `place` on and `gap` apart.
 *
 * @param {Int32Array} from
 * @param {number} at
 * @param {number} step
 * @param {Numbers} to
 * @param {number} place
 * @param {number} gap
 * @param {number} bits that are left out, and
 * @param {number} level that is added
 */
function pass8(from, at, step, to, place, gap, bits, level) {
  const a = from[at + 2 * step];
  const b = from[at + 6 * step];
  const z = (a + b) * F0541;
  const even2 = z - b * F1847;
  const even3 = z + a * F0765;
  const sum = (from[at] + from[at + 4 * step]) * 8192;
  const difference = (from[at] - from[at + 4 * step]) * 8192;
  const t0 = from[at + 7 * step];
  const t1 = from[at + 5 * step];
  const t2 = from[at + 3 * step];
  const t3 = from[at + step];
  const z5 = (t0 + t2 + t1 + t3) * F1175;
  const z1 = -(t0 + t3) * F0899;
  const z2 = -(t1 + t2) * F2562;
  const z3 = z5 - (t0 + t2) * F1961;
  const z4 = z5 - (t1 + t3) * F0390;
  both(sum + even3, t3 * F1501 + z1 + z4, to, place, place + 7 * gap, bits, level);
  both(difference + even2, t2 * F3072 + z2 + z3, to, place + gap, place + 6 * gap, bits, level);
  both(difference - even2, t1 * F2053 + z2 + z4, to, place + 2 * gap, place + 5 * gap, bits, level);
  both(sum - even3, t0 * F0298 + z1 + z3, to, place + 3 * gap, place + 4 * gap, bits, level);
}

/**
 * Sum and difference of the even and the odd part.
 *
 * @param {number} even
 * @param {number} odd
 * @param {Numbers} to
 * @param {number} place
 * @param {number} opposite
 * @param {number} bits
 * @param {number} level
 */
function both(even, odd, to, place, opposite, bits, level) {
  to[place] = rounded(even + odd, bits) + level;
  to[opposite] = rounded(even - odd, bits) + level;
}

/**
 * As `pass8`, to four numbers.
 *
 * @param {Int32Array} from
 * @param {number} at
 * @param {number} step
 * @param {Numbers} to
 * @param {number} place
 * @param {number} gap
 * @param {number} bits
 * @param {number} level
 */
function pass4(from, at, step, to, place, gap, bits, level) {
  const even = from[at + 2 * step] * F1847 - from[at + 6 * step] * F0765;
  const z1 = from[at + 7 * step];
  const z2 = from[at + 5 * step];
  const z3 = from[at + 3 * step];
  const z4 = from[at + step];
  const first = from[at] * 16384;
  const outer = -z1 * F0509 - z2 * F0601 + z3 * F0899 + z4 * F2562;
  const inner = -z1 * F0211 + z2 * F1451 - z3 * F2172 + z4 * F1061;
  both(first + even, outer, to, place, place + 3 * gap, bits, level);
  both(first - even, inner, to, place + gap, place + 2 * gap, bits, level);
}

/**
 * As `pass8`, to two numbers.
 *
 * @param {Int32Array} from
 * @param {number} at
 * @param {number} step
 * @param {Numbers} to
 * @param {number} place
 * @param {number} gap
 * @param {number} bits
 * @param {number} level
 */
function pass2(from, at, step, to, place, gap, bits, level) {
  const odd =
    -from[at + 7 * step] * F0720 + from[at + 5 * step] * F0850 - from[at + 3 * step] * F1272 + from[at + step] * F3624;
  both(from[at] * 32768, odd, to, place, place + gap, bits, level);
}
