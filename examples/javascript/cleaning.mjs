// From a text to the words that a model reads, as cxrscribe's runtime/cxrscribe/cleaning.py does it: the same rules in the
// same order. Where Python's Unicode is older than the one here, letters that are newer than it may be taken otherwise.

const DEIDENTIFIED = "xxxx"; // stands where a word was taken out to protect the patient
const COMMAS = [",", "、"];
export const MARKS = new Set([...COMMAS, ".", DEIDENTIFIED]);

// What Python's regular expressions mean by \w, \d, \s and \b in text of any script.
const WORD = String.raw`\p{L}\p{N}_`;
const DIGIT = String.raw`\p{Nd}`;
const BLANK = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;
const EDGE = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;
// [^\W_] and [^\W\d_], and what isn't preceded by [^\Wxх]: there are no classes within classes here.
const LETTER_OR_DIGIT = String.raw`[\p{L}\p{N}]`;
const LETTER = String.raw`[\p{L}\p{Nl}\p{No}]`;
const NOT_IN_WORD = "(?<!(?![xх])\\w)";
const UNSPACED = String.raw`\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3ffff}`;

const PLAIN_SIGNS = { "‘": "'", "’": "'", ʼ: "'", "×": " x ", "⁄": "/", _: " " };
const SIGNS_1 = { ...PLAIN_SIGNS, "%": " percent ", "&": " and ", "°": " degrees " };
const SIGNS_2 = {
  ...PLAIN_SIGNS,
  ...Object.fromEntries(Array.from("。।۔؟", (sign) => [sign, ". "])),
  "；": ", ",
  ...Object.fromEntries(Array.from("ºª\ufeff\u00ad\u200b\u200c\u200d\u2060", (sign) => [sign, ""])),
};
/** @type {Record<string, string>} */
const SPELLED_OUT = {
  "and/or": "or",
  "w/out": "without",
  "w/o": "without",
  "w/": "with",
  "s/p": "status post",
  "c/w": "consistent with",
};

const LINE_BREAK = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/; // of str.splitlines
const STRIPPED = new RegExp(`^[${BLANK}]+|[${BLANK}]+$`, "g");
const LINE_BREAK_TAG = python(String.raw`<\s*(?:/\s*)?(?:br|p)\s*(?:/\s*)?>`);
const GAP = python("_{3,}");
const UNSPACED_SIGN = new RegExp(`[${UNSPACED}]`, "u");
const UNSPACED_FIRST = new RegExp(`^[${UNSPACED}]`, "u");
const APART = new RegExp(`[${UNSPACED}%&°]`, "gu");
const DATE = python(String.raw`(?<![\w/.-])(?:\d{1,4}|xxxx)([/-])(?:\d{1,4}|xxxx)\1(?:\d{1,4}|xxxx)(?![\w/-])`);
const [LESS, MORE] = [python(String.raw`<\s*(?=\.?\d)`), python(String.raw`>\s*(?=\.?\d)`)];
const NO_LIMIT = python(String.raw`[<>](?!\s*\.?\d)`);
const LIST_NUMBER_IN_BRACKETS = python(String.raw`(?:^|(?<=[.!?:;]))\s*\(?\d{1,2}\)(?=\s)`);
const METRES = String.raw`(?:cent|mil)[ií]metros?|(?:[cz]enti|milli)meters?|(?:санти|милли)метр\w*`;
const SIZE = String.raw`(?:mms?|cms?|ml|cc|мм|см|мл|${METRES})\b|%`;
const BETWEEN_SIZES = String.raw`(?:[\d,.xх\s()–-]|\b(?:a|y|e|o|ou|u|por|hasta|até|à|et|bis|und|mal|to|by|до|и|на)\b)`;
const DECIMAL_COMMA = python(
  String.raw`(?<![.,])${NOT_IN_WORD}(\d+),(\d{1,2})(?!\d)(?=${BETWEEN_SIZES}{0,24}?(?:${SIZE}))`,
);
const LONG_DECIMAL_COMMA = python(
  String.raw`(?<![.,])${NOT_IN_WORD}(\d{1,2}),(\d{3})(?=\s*(?:cms?|см|cent[ií]metros?|zentimeter)\b)`,
);
const ZERO_COMMA = python(String.raw`(?<![\d.,])0,(?=\d)`);
const THOUSANDS = python(String.raw`(?<=\d),(?=\d{3}(?!\d))`);
const BARE_FRACTION = python(String.raw`(?<![\w.])\.(?=\d)`);
const INITIALS = python(String.raw`(?<![\w.])(?:${LETTER}\.){2,}`);
const LIST_NUMBER = python(String.raw`^\d{1,2}$`, "u");
const ENDS_STATEMENT = python(String.raw`[.!?:;,。！？：；，、…]\s*$`, "u");
const STOP_INSIDE = python(String.raw`[.!?]\s|[。！？].`, "u");
const BULLET = python(String.raw`^(?:[-*•·–—]|\(?\d{1,2}[.)])\s`, "u");
const MARK = python(String.raw`^[-*•·–—]\s+`, "u");
const TOKEN = String.raw`\d+\.\d+(?!\w)|${LETTER_OR_DIGIT}+(?:'${LETTER_OR_DIGIT}+)*|[.!?]`;
// A line that ends so breaks off inside a statement.
const GOES_ON = new Set(
  (
    "a an the any no of and or nor with without to from for at by in on than into " +
    "is are was were be been has have " +
    "de del el la los las un una sin con y o u en por do da dos das um uma sem com e ou em " +
    "der die das dem den des ein eine einen einem einer " +
    "kein keine keinen ohne mit und oder von vom im zum zur " +
    "le les du des une sans avec et"
  ).split(" "),
);
const GOES_ON_UNSPACED = ["未见", "未见明显", "无", "和", "及", "或", "与", "的"];
const [WRAPPED_WIDTH, WRAPPED_UNSPACED] = [40, 15];

/** What differs between the versions of the rules. */
const RULES = {
  1: {
    fold: fold1,
    spelledOut: python(String.raw`(?<![\w/])(?:and/or\b|w/o\b|w/|s/p\b|c/w\b)`),
    sizeUnit: python(String.raw`(?<=\d)(?=(?:mm|cm|ml|cc)\b)`),
    sizeTimes: python(String.raw`(?<=\d)[^\w.!?]*x[^\w.!?]*(?=\.?\d)`),
    shortenedWord: python(String.raw`\b(dr|mr|mrs|ms|vs|approx|cf)\.(?=\s)`),
    token: python(TOKEN),
  },
  2: {
    fold: fold2,
    spelledOut: python(String.raw`(?<![\w/])(?:and/or\b|w/out\b|w/o\b|w/|s/p\b|c/w\b)`),
    sizeUnit: python(String.raw`(?<=\d)(?=(?:mm|cm|ml|cc|мм|см|мл)\b)`),
    sizeTimes: python(String.raw`(?<=\d)[^\w.!?%&°<>]*[xх][^\w.!?%&°<>]*(?=\.?\d)`),
    shortenedWord: python(String.raw`\b(dra?|mrs?|ms|sra?|vs|approx|aprox|cf)\.(?=\s)`),
    token: python(`${TOKEN}|[,、%&°<>]`),
  },
};

/**
 * The words of a text, lower case, each sentence closed by ".". `version` of the rules is 1 or 2.
 * @param {string} text
 * @param {number} version
 */
export function clean(text, version) {
  const rules = RULES[version === 1 ? 1 : 2];
  text = rules.fold(text);
  text = text.replace(DATE, DEIDENTIFIED);
  text = text.replace(rules.spelledOut, (found) => ` ${SPELLED_OUT[found]} `);
  text = text.replace(LESS, version === 1 ? " less than " : " < ").replace(MORE, version === 1 ? " more than " : " > ");
  text = text.replace(LIST_NUMBER_IN_BRACKETS, " ");
  if (version > 1) {
    text = text.replace(NO_LIMIT, " ");
    text = text.replace(DECIMAL_COMMA, "$1.$2").replace(LONG_DECIMAL_COMMA, "$1.$2").replace(ZERO_COMMA, "0.");
  }
  text = text.replace(THOUSANDS, "").replace(BARE_FRACTION, "0.");
  text = text.replace(rules.sizeUnit, " ").replace(rules.sizeTimes, " x ");
  text = text.replace(INITIALS, (found) => ` ${found.replaceAll(".", "")} `);
  text = text.replace(rules.shortenedWord, "$1");
  const found = version === 1 ? (text.match(rules.token) ?? []) : wordsWithMarks(text, rules.token);
  return sentences(found).flatMap((sentence) => [...sentence, "."]);
}

/**
 * Compiles what is written as in Python.
 * @param {string} source
 */
function python(source, flags = "gu") {
  let isInClass = false;
  const translated = source.replace(/\\p\{\w+\}|\\.|[[\]]/gs, (part) => {
    if (part === "[" || part === "]") isInClass = part === "[";
    if (part === "\\b") return EDGE;
    const kind = { "\\w": WORD, "\\d": DIGIT, "\\s": BLANK }[part];
    return kind === undefined ? part : isInClass ? kind : `[${kind}]`;
  });
  return new RegExp(translated, flags);
}

/**
 * @param {string} text
 * @param {Record<string, string>} signs
 */
function translated(text, signs) {
  let found = "";
  for (const sign of text) found += signs[sign] ?? sign;
  return found;
}

/** @param {string} text */
function fold1(text) {
  for (;;) {
    const folded = withoutAccents(translated(text, SIGNS_1).toLowerCase());
    if (folded === text) return folded.replace(LINE_BREAK_TAG, " ");
    text = folded;
  }
}

/** @param {string} text */
function fold2(text) {
  text = closeLines(text).replace(GAP, ` ${DEIDENTIFIED} `);
  for (;;) {
    const folded = translated(text, SIGNS_2).toLowerCase().normalize("NFKC");
    if (folded === text) break;
    text = folded;
  }
  return text.replace(LINE_BREAK_TAG, " ").replace(APART, " $& ");
}

/** @param {string} text */
function withoutAccents(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, (mark) => (isCombining(mark) ? "" : mark));
}

/**
 * Whether a mark has a combining class: it then changes places with one of another class.
 * @param {string} mark
 */
function isCombining(mark) {
  return [`${mark}\u0334`, `\u0323${mark}`].some((pair) => pair.normalize("NFD") !== pair); // of the classes 1 and 220
}

/**
 * The text on one line, with a full stop where a line ended a statement without one.
 * @param {string} text
 */
function closeLines(text) {
  const lines = text.split(LINE_BREAK).map((line) => line.replace(STRIPPED, ""));
  if (LINE_BREAK.test(text.slice(-1))) lines.pop();
  if (lines.length < 2) return text;
  const isWrapped = areWrapped(lines);
  const width = Math.max(...lines.map(lengthOf));
  const pieces = [lines[0].replace(MARK, "")];
  for (const [before, line] of pairs(lines)) {
    const begins = !line || BULLET.test(line);
    const hasPlace = !isWrapped || hasRoom(before, line, width);
    const ends = hasPlace && !/^\p{Lowercase}/u.test(line) && !goesOn(before);
    if ((begins || ends) && before && !ENDS_STATEMENT.test(before)) pieces[pieces.length - 1] += ".";
    if (line) pieces.push(line.replace(MARK, ""));
  }
  return pieces.join(" ");
}

/** @param {string} line */
function goesOn(line) {
  const blank = line.lastIndexOf(" ");
  const [before, last] = [line.slice(0, Math.max(blank, 0)), line.slice(blank + 1).toLowerCase()];
  if (last === "no" && /[:：?]$/.test(before)) return false;
  return GOES_ON.has(last) || GOES_ON_UNSPACED.some((end) => line.endsWith(end));
}

/** @param {string[]} lines */
function areWrapped(lines) {
  if (lines.slice(1).some((line) => /^\p{Lowercase}/u.test(line))) return true;
  if (lines.some((line) => /\p{Lowercase}/u.test(line))) return false;
  const width = Math.max(...lines.map(lengthOf));
  if (width <= (lines.some((line) => UNSPACED_SIGN.test(line)) ? WRAPPED_UNSPACED : WRAPPED_WIDTH)) return false;
  if (lines.some((line) => STOP_INSIDE.test(line))) return true;
  return !pairs(lines).some(
    ([before, line]) =>
      before && line && !BULLET.test(line) && !ENDS_STATEMENT.test(before) && hasRoom(before, line, width),
  );
}

/**
 * Whether the first word of `line` fits behind `before`; of Chinese, the first character.
 * @param {string} before
 * @param {string} line
 * @param {number} width
 */
function hasRoom(before, line, width) {
  const first = UNSPACED_FIRST.test(line) ? 1 : lengthOf(line.split(" ", 1)[0]);
  return lengthOf(before) + 1 + first <= width;
}

/**
 * A mark that no letter takes in (a vowel of Hindi) stays with the letter before: words are looked for with letters in place.
 * @param {string} text
 * @param {RegExp} token
 */
function wordsWithMarks(text, token) {
  text = text.replaceAll(";", ",");
  let shadow = "";
  let isAfterLetter = false;
  for (const sign of text) {
    if (/\p{M}/u.test(sign)) shadow += (isAfterLetter ? "a" : " ").repeat(sign.length);
    else {
      shadow += sign;
      isAfterLetter = /\p{L}/u.test(sign);
    }
  }
  return Array.from(shadow.matchAll(token), ({ index, 0: found }) => text.slice(index, index + found.length));
}

/**
 * Sentences without their ends; empty ones and those that are only a list's number are left out.
 * @param {string[]} tokens
 */
function sentences(tokens) {
  /** @type {string[][]} */
  const parted = [[]];
  for (const token of tokens) {
    if (".!?".includes(token)) parted.push([]);
    else parted[parted.length - 1].push(token.includes(DEIDENTIFIED) ? DEIDENTIFIED : token);
  }
  return parted
    .map(tidy)
    .filter((sentence) => sentence.length > 1 || (sentence.length === 1 && !LIST_NUMBER.test(sentence[0])));
}

/**
 * Single commas between words only, and one mark a gap.
 * @param {string[]} words
 */
function tidy(words) {
  /** @type {string[]} */
  const tidied = [];
  let comma = "";
  for (const word of words) {
    if (COMMAS.includes(word)) comma ||= word;
    else {
      const isSameGap = word === DEIDENTIFIED && tidied.at(-1) === DEIDENTIFIED;
      if (!isSameGap && comma && tidied.length) tidied.push(comma);
      if (!isSameGap) tidied.push(word);
      comma = "";
    }
  }
  return tidied;
}

/**
 * Characters, as Python counts them.
 * @param {string} text
 */
function lengthOf(text) {
  return Array.from(text).length;
}

/**
 * @param {string[]} items
 * @returns {[string, string][]}
 */
export function pairs(items) {
  return items.slice(1).map((item, place) => [items[place], item]);
}
