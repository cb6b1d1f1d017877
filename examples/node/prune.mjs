// Removes what onnxruntime-node has for other systems and processors: five sixths of it. `npm run setup` calls it.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const binaries = join(import.meta.dirname ?? ".", "node_modules", "onnxruntime-node", "bin");
for (const release of readdirSync(binaries)) {
  for (const system of readdirSync(join(binaries, release))) {
    for (const processor of readdirSync(join(binaries, release, system))) {
      const isOurs = system === process.platform && processor === process.arch;
      if (!isOurs) rmSync(join(binaries, release, system, processor), { recursive: true });
    }
  }
}
