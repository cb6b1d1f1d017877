// Numbers and letters in the bytes of a file. Reading beyond their end throws a RangeError.

/** @param {Uint8Array} bytes */
export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Letters, a byte each, as far as there are bytes.
 *
 * @param {Uint8Array} bytes
 */
export function textOf(bytes, from = 0, to = bytes.length) {
  let text = "";
  for (const byte of bytes.subarray(from, to)) text += String.fromCharCode(byte);
  return text;
}

/**
 * @param {Uint8Array} bytes
 * @param {readonly number[]} start
 */
export function startsWith(bytes, start) {
  return start.every((byte, place) => bytes[place] === byte);
}

/** @param {Uint8Array[]} pieces */
export function joined(pieces) {
  if (pieces.length === 1) return pieces[0];
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let place = 0;
  for (const piece of pieces) {
    all.set(piece, place);
    place += piece.length;
  }
  return all;
}
