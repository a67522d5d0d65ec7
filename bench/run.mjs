// `node bench/run.mjs NAME [ARGUMENTS]`: sets up and builds what a bench needs, then runs it.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ensureBuilt, ensureDependencies, root, run } from "../scripts/setup.mjs";

const bench = join(root, "bench");
const [name, ...options] = process.argv.slice(2);
const names = [
  ...["single", "batch", "requests", "start", "memory", "bare", "peer", "jauge"],
  ...["precision", "prediction", "rivals"],
  ...["faults", "million-lines"],
  ...["generate-model", "fuzz-gguf", "convert", "convert-memory", "quantise-equality"],
  ...["readers", "fuzz-readers", "legacy"],
];
if (!name || !names.includes(name)) {
  console.error(`usage: node bench/run.mjs NAME [ARGUMENTS]\nNAME is one of: ${names.join(", ")}`);
  process.exit(1);
}

ensureDependencies();
ensureBuilt();
ensurePeer();
const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
run(process.execPath, [compiler, "-p", "bench/tsconfig.json"]);
run(process.execPath, ["--enable-source-maps", join(bench, "dist", "bench", `${name}.js`), ...options]);

/** Installs the peer, here only. Without it, everything but the comparison with it still runs. */
function ensurePeer() {
  // npm writes this file last, so an install that was interrupted is done again.
  const installed = join(bench, "node_modules", ".package-lock.json");
  const lock = join(bench, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.error("bench: installing the peer (once)…");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const result = spawnSync(npm, ["ci", "--loglevel=error"], {
    cwd: bench,
    stdio: ["ignore", 2, 2],
    shell: npm.endsWith(".cmd"),
  });
  if (result.status !== 0) console.error("bench: the peer could not be installed; its rows will be missing");
}
