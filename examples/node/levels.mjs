// Grey levels, and what files of every kind are checked for: cxrscribe's docs/films.md.

/** Throw where a film's size is none that is read, before its pixels are unpacked. */
export function checkSize(height, width) {
  if (!(Math.min(height, width) >= 16 && Math.max(height, width) <= 20000 && height * width <= 100_000_000)) {
    throw new Error(`has ${height} x ${width} pixels; sides of 16 to 20000 are read, and up to 100 megapixels`);
  }
}

/** ITU-R 601, as Pillow rounds it. */
export function luma(red, green, blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/** To the nearest whole number, of two as near to the even one: numpy's rint. */
export function toEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** Brightness 0 to 1 of a value, where `least` is black and `largest` is white. */
export function stretched(value, least, largest) {
  return Math.min(1, Math.max(0, (value - least) / Math.max(largest - least, 1e-12)));
}

/** Uint8Array of 16-bit values; those that are `transparent` are black. `range`: `used` or `full`. */
export function show16Bit(values, range, transparent) {
  let least = 65535;
  let largest = 0;
  for (const value of values) {
    if (value === transparent) continue;
    if (value < least) least = value;
    if (value > largest) largest = value;
  }
  if (least > largest) least = largest = transparent; // everything is
  const level =
    range === "full" ? (value) => Math.floor((value + 128) / 257) : (value) => toEven(stretched(value, least, largest) * 255);
  const table = Uint8Array.from({ length: 65536 }, (_, value) => level(value));
  if (transparent !== undefined) table[transparent] = 0;
  return Uint8Array.from(values, (value) => table[value]);
}

/** Which corner of the pixels is the top left one, 1 to 8, of the content of EXIF (TIFF with the tag 274). */
export function exifOrientation(exif) {
  const little = exif.toString("latin1", 0, 2) === "II";
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  try {
    const directory = view.getUint32(4, little);
    for (let n = 0; n < view.getUint16(directory, little); n++) {
      if (view.getUint16(directory + 2 + 12 * n, little) === 274) {
        const corner = view.getUint16(directory + 10 + 12 * n, little);
        return corner <= 8 ? corner : 1; // others have no meaning
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // damaged EXIF says nothing
  }
  return 1;
}
