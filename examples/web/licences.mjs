// The licences of what is built into the page: whoever hosts the page passes them on with it.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const INSTALLED = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//;
const NAMES = /^(licen[cs]e|notice|thirdpartynotices)/i;

/** `inputs`: the paths of all files that were built in. Throws where a package brings no licence. */
export function writeLicences(file, folder, inputs) {
  const packages = new Set(inputs.map((path) => INSTALLED.exec(path)?.[1]).filter((name) => name !== undefined));
  const own = readFileSync(join(folder, "..", "..", "LICENSE"), "utf8");
  const texts = [`cxrscribe\n\n${own}`];
  for (const name of [...packages].sort()) {
    const home = join(folder, "node_modules", name);
    const { version, license, repository } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
    const files = existsSync(home) ? readdirSync(home).filter((one) => NAMES.test(one)) : [];
    if (!license) throw new Error(`${name} ${version} names no licence: it can't be built in`);
    const source = typeof repository === "string" ? repository : (repository?.url ?? "");
    const said = files.map((one) => readFileSync(join(home, one), "utf8"));
    texts.push([`${name} ${version}, ${license}\n${source}`, ...said].join("\n\n"));
  }
  writeFileSync(file, texts.map((text) => `${text.trim()}\n`).join(`\n${"-".repeat(80)}\n\n`));
}
