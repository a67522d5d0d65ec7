import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { formatBytes } from "../src/units.js";
import { type CheckpointShape, writeCheckpoint } from "./checkpoints.js";
import { machineDescription } from "./machine.js";
import { fromRoot } from "./paths.js";
import { TreeMemory } from "./process-tree.js";

/**
 * The most memory that a conversion of a large model takes, all processes together. The checkpoint has the true shapes
 * and files, its weights are holes: what is read, computed and written is as much as with any weights.
 */
const { values } = parseArgs({
  options: {
    shape: { type: "string", default: "65b" },
    type: { type: "string", default: "Q4_0" },
    threads: { type: "string", default: "2" },
    folder: { type: "string", default: fromRoot("bench", "models", "convert") },
  },
});
const mostBytes = 2 ** 30;
console.log(
  `${machineDescription(`node bench/run.mjs convert-memory ${process.argv.slice(2).join(" ")}`.trim())}\n`,
);
const shape = values.shape as CheckpointShape;
const source = await writeCheckpoint(join(values.folder, `${shape}-holes`), shape, "holes");
const output = join(values.folder, `${shape}-${values.type}.gguf`);
const begun = performance.now();
const child = spawn(
  process.execPath,
  [
    ...[fromRoot("dist", "cli", "main.js"), "convert", source, "-o", output, "--type", values.type],
    ...["--threads", values.threads, "--force", "--restart", "--json"],
  ],
  { stdio: ["ignore", "ignore", "inherit"] },
);
const memory = new TreeMemory(child.pid!);
const [code] = await once(child, "exit");
const seconds = (performance.now() - begun) / 1000;
const peak = memory.stop();
if (code !== 0) throw new Error(`jauge convert ended with ${code}`);
const written = (await stat(output)).size;
await rm(output);
await rm(source, { recursive: true });
console.log(
  `${shape} to ${values.type}: ${formatBytes(written)} written in ${seconds.toFixed(0)} s; ` +
    `most memory of all processes ${formatBytes(peak)} (target: under 1 GiB, ${peak < mostBytes ? "reached" : "missed"})`,
);
if (peak >= mostBytes) process.exitCode = 1;
