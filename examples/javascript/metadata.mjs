// The metadata of an ONNX file, which neither onnxruntime-node nor onnxruntime-web gives.

const METADATA_PROPS = 14; // number of that field in ONNX's ModelProto
const [VARINT, EIGHT_BYTES, BYTES] = [0, 1, 2]; // protobuf's wire types; the others have four bytes

/**
 * An object of strings. What else the file holds isn't read.
 * @param {number} size of the file
 * @param {(place: number, length: number) => Uint8Array} read gives bytes of the file, fewer at its end
 * @returns {Record<string, string>}
 */
export function readMetadata(size, read) {
  const text = new TextDecoder("utf-8", { ignoreBOM: true });
  const found = /** @type {Record<string, string>} */ ({});
  for (const { number, place, length } of fields(size, read)) {
    if (number !== METADATA_PROPS) continue;
    const entry = read(place, length);
    const within = (/** @type {number} */ at, /** @type {number} */ count) => entry.subarray(at, at + count);
    const [key, value] = fields(length, within).map((part) => text.decode(within(part.place, part.length)));
    found[key] = value ?? "";
  }
  return found;
}

/**
 * Number, place and length of each field of a protobuf message that holds bytes.
 * @param {number} size
 * @param {(place: number, length: number) => Uint8Array} read
 */
function fields(size, read) {
  const found = [];
  for (let place = 0; place < size; ) {
    const head = read(place, 20);
    let at = 0;
    const varint = () => {
      let value = 0;
      for (let factor = 1; at < head.length; factor *= 128) {
        const byte = head[at++];
        value += (byte % 128) * factor;
        if (byte < 128) return value;
      }
      return Infinity; // it is no such message
    };
    const tag = varint();
    const kind = tag % 8;
    const value = kind === VARINT || kind === BYTES ? varint() : 0;
    if (kind === BYTES) found.push({ number: Math.floor(tag / 8), place: place + at, length: value });
    place += at + (kind === BYTES ? value : kind === VARINT ? 0 : kind === EIGHT_BYTES ? 8 : 4);
  }
  return found;
}
