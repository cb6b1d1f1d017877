// Lossless JPEG of grey samples of 2 to 16 bits (ITU-T T.81, annex H), to the bit as libjpeg-turbo decodes it.

import { viewOf } from "./bytes.mjs";
import { readHuffman, ScanBits } from "./jpeg-huffman.mjs";
import { FilmError } from "./levels.mjs";

const [SOF3, DHT, SOS, DRI] = [0xc3, 0xc4, 0xda, 0xdd];
const DAMAGED = "has DICOM pixels of lossless JPEG that are damaged or cut off";

/**
 * Samples [height * width]. `head`: what the picture says of itself; it has one component, and a size that is read.
 *
 * @param {Uint8Array} frame
 * @param {import("./codestream.mjs").Codestream} head
 */
export function decodeLossless(frame, head) {
  const { height, width, bits } = head;
  if (!(bits >= 2 && bits <= 16)) throw new FilmError(`has lossless JPEG pixels of ${bits} bits`);
  const view = viewOf(frame);
  /** @type {Record<number, Uint16Array[]>} */
  const tables = { 0: [] };
  let restart = 0;
  let isLossless = false;
  for (let place = 2; place + 4 <= frame.length; ) {
    if (frame[place] !== 0xff) break;
    const marker = frame[place + 1];
    if (marker === 0xff) {
      place++;
      continue;
    }
    const end = place + 2 + view.getUint16(place + 2);
    const segment = frame.subarray(place + 4, end);
    place = end;
    if (marker === DHT) readHuffman(segment, tables);
    else if (marker === DRI) restart = viewOf(segment).getUint16(0);
    else if (marker === SOF3) isLossless = true;
    else if (marker === SOS && isLossless) {
      const [, , numbers, predictor, , point] = segment;
      if (segment[0] !== 1 || !(predictor >= 1 && predictor <= 7) || (point & 15) >= bits || restart % width !== 0)
        break;
      const codes = tables[0][numbers >> 4];
      return samplesOf(new ScanBits(frame, end), { height, width, bits, codes, predictor, point: point & 15, restart });
    }
  }
  throw new FilmError(DAMAGED);
}

/**
 * @typedef {object} LosslessScan
 * @property {number} height
 * @property {number} width
 * @property {number} bits
 * @property {Uint16Array | undefined} codes
 * @property {number} predictor
 * @property {number} point bits of each sample that were left out
 * @property {number} restart samples between two restarts, of whole rows; 0: there are none
 */

/**
 * @param {ScanBits} from
 * @param {LosslessScan} scan
 */
function samplesOf(from, { height, width, bits, codes, predictor, point, restart }) {
  const samples = new Uint16Array(height * width);
  const difference = () => {
    const category = from.symbol(codes);
    if (category > 16) throw new FilmError(DAMAGED);
    return category === 16 ? 32768 : from.signed(category);
  };
  const rows = restart / width;
  for (let y = 0; y < height; y++) {
    const isFirst = y === 0 || (rows > 0 && y % rows === 0);
    if (isFirst && y > 0) from.restart();
    const start = y * width;
    // Samples are whole numbers of 16 bits, which go round.
    samples[start] = difference() + (isFirst ? 1 << (bits - point - 1) : samples[start - width]);
    const kind = isFirst ? 1 : predictor;
    for (let place = start + 1; place < start + width; place++) {
      const left = samples[place - 1];
      const above = isFirst ? 0 : samples[place - width];
      const before = isFirst ? 0 : samples[place - width - 1];
      samples[place] = difference() + predicted(kind, left, above, before);
    }
    if (from.missing > 4) throw new FilmError(DAMAGED); // a few are looked at in advance
  }
  if (point) for (let place = 0; place < samples.length; place++) samples[place] <<= point;
  return samples;
}

/**
 * Table H.1.
 *
 * @param {number} kind
 * @param {number} left
 * @param {number} above
 * @param {number} before on the left of the one above
 */
function predicted(kind, left, above, before) {
  if (kind === 1) return left;
  if (kind === 2) return above;
  if (kind === 3) return before;
  if (kind === 4) return left + above - before;
  if (kind === 5) return left + ((above - before) >> 1);
  if (kind === 6) return above + ((left - before) >> 1);
  return (left + above) >> 1;
}
