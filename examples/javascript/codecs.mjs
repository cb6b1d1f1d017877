// JPEG 2000 and JPEG-LS by OpenJPEG and CharLS, in the WebAssembly of @cornerstonejs/codec-openjpeg and codec-charls.
// Each film gets an instance of its own: what it took is given back, and what it damaged or ended is gone with it.

import { FilmError } from "./levels.mjs";

/** @typedef {import("./dicom-frame.mjs").Samples} Samples */

/**
 * A module as Emscripten makes it, of which only these are used.
 *
 * @typedef {(options: object) => Promise<Record<string, new () => Decoder>>} Factory
 */

/**
 * @typedef {object} Decoder
 * @property {(length: number) => Uint8Array} getEncodedBuffer
 * @property {() => void} decode
 * @property {(levels: number, layers: number) => void} [decodeSubResolution]
 * @property {() => { bitsPerSample: number, componentCount: number, isSigned?: boolean }} getFrameInfo
 * @property {() => Uint8Array} getDecodedBuffer
 */

/** @typedef {{ factory: Factory, compiled: WebAssembly.Module }} Library */

const UNDECODABLE = "has compressed DICOM pixels that can't be decoded; they are damaged or cut off";

/**
 * Codecs for `readFilm`, of the packages' `decodewasmjs` and their compiled `decodewasm`. Nothing is loaded later on.
 *
 * @param {{ openjpeg: Library, charls: Library }} libraries
 * @returns {import("./dicom-frame.mjs").Codecs}
 */
export function makeCodecs({ openjpeg, charls }) {
  return {
    jpeg2000: (codestream, levels) => decode(openjpeg, "J2KDecoder", codestream, levels),
    jpegLs: (codestream) => decode(charls, "JpegLSDecoder", codestream, 0),
  };
}

/**
 * @param {Library} library
 * @param {string} name
 * @param {Uint8Array} codestream
 * @param {number} levels
 * @returns {Promise<Samples>}
 */
async function decode({ factory, compiled }, name, codestream, levels) {
  try {
    const module = await instanceOf(factory, compiled);
    const decoder = new module[name]();
    decoder.getEncodedBuffer(codestream.length).set(codestream);
    if (levels && decoder.decodeSubResolution) decoder.decodeSubResolution(levels, 0);
    else decoder.decode();
    const { bitsPerSample, componentCount, isSigned } = decoder.getFrameInfo();
    if (componentCount !== 1) throw new FilmError(UNDECODABLE);
    const bytes = decoder.getDecodedBuffer().slice(); // the instance's memory goes with it
    if (bitsPerSample <= 8) return isSigned ? new Int8Array(bytes.buffer) : bytes;
    return isSigned ? new Int16Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  } catch (error) {
    if (error instanceof FilmError) throw error;
    throw new FilmError(UNDECODABLE, { cause: error }); // it may be a number, or that WebAssembly was ended
  }
}

/**
 * @param {Factory} factory
 * @param {WebAssembly.Module} compiled
 * @returns {ReturnType<Factory>}
 */
function instanceOf(factory, compiled) {
  return new Promise((resolve, reject) => {
    /**
     * Emscripten doesn't hear of an instance that couldn't be made, as where there is no memory for it.
     *
     * @param {WebAssembly.Imports} imports
     * @param {(instance: WebAssembly.Instance) => void} done
     */
    function instantiateWasm(imports, done) {
      WebAssembly.instantiate(compiled, imports).then(done).catch(reject);
      return {}; // it comes later
    }
    factory({ instantiateWasm, print() {}, printErr() {} }).then(resolve, reject);
  });
}
