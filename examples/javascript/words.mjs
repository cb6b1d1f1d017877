const GLUED = [".", ",", ";", ":", "、", "%", "°"];
/** @type {Record<string, string>} */
const OWN_SIGNS = { ".": "。", ",": "，" };
const UNSPACED =
  /^[\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3ffff}]/u;

/**
 * A paragraph: sentences start with a capital, punctuation joins the word before it. Chinese and Japanese have no blanks
 * between characters, and a comma and a full stop of their own.
 * @param {string[]} words
 */
export function readable(words) {
  let text = "";
  for (let start = 0; start < words.length; ) {
    const stop = words.indexOf(".", start);
    const sentence = words.slice(start, stop < 0 ? words.length : stop + 1);
    const unspaced = sentence.some((word) => UNSPACED.test(word));
    let before = ""; // the last word, signs left out
    sentence.forEach((word, place) => {
      if (GLUED.includes(word) && text) {
        text += (unspaced && OWN_SIGNS[word]) || word;
        return;
      }
      const beside = UNSPACED.test(word) || (place && UNSPACED.test(before)) || text.endsWith("。");
      text += (beside || !text ? "" : " ") + (place ? word : capitalized(word));
      before = word;
    });
    start += sentence.length;
  }
  return text;
}

/**
 * With a capital, where the first letter has one that stands for the same letter.
 * @param {string} word
 */
function capitalized(word) {
  const [first = "", ...rest] = word;
  const capital = first.toUpperCase();
  return capital.toLowerCase() === first ? capital + rest.join("") : word;
}
