// Compiles the unit tests and runs them with Node's own runner.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

import { build } from "esbuild";

const HERE = import.meta.dirname;
const tests = readdirSync(join(HERE, "src"), { recursive: true }).filter((path) => path.endsWith(".test.ts"));
if (!tests.length) throw new Error("there is no test");
// Inside, so that packages are found.
const folder = mkdtempSync(join(HERE, "node_modules", ".tests-"));
try {
  await build({
    absWorkingDir: HERE,
    entryPoints: tests.map((path) => join("src", path)),
    outdir: folder,
    outbase: "src",
    outExtension: { ".js": ".mjs" },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    sourcemap: "inline",
    logLevel: "warning",
  });
  const files = readdirSync(folder, { recursive: true }).filter((path) => path.endsWith(".mjs"));
  const command = ["--enable-source-maps", "--test", ...files.map((path) => join(folder, path))];
  process.exitCode = spawnSync(process.execPath, command, { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
