import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findLibraries } from "../src/engine/native/libraries.js";
import { fileTypeOf, type MixName } from "../src/quantize/mixes.js";
import { median } from "../src/statistics.js";
import { formatBytes } from "../src/units.js";
import { type CheckpointShape, writeCheckpoint } from "./checkpoints.js";
import { machineDescription } from "./machine.js";
import { fromRoot } from "./paths.js";
import { TreeMemory } from "./process-tree.js";
import { table } from "./statistics.js";

/**
 * What a conversion costs: one pass from 16-bit weights to a quantised file, against the native quantiser alone, which
 * starts from an F16 file that somebody had to make first; and to F16 against `cp` of the same bytes. `--source` takes
 * whatever `jauge convert` reads; safetensors of random weights in BF16 stand in where it is absent. `--type F16` leaves
 * the quantising out.
 */
const { values } = parseArgs({
  options: {
    source: { type: "string" },
    shape: { type: "string", default: "1b" },
    type: { type: "string", default: "Q4_K_M" },
    threads: { type: "string", default: "2" },
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: fromRoot("bench", "models", "convert") },
  },
});
console.log(
  `${machineDescription(`node bench/run.mjs convert ${process.argv.slice(2).join(" ")}`.trim())}\n`,
);
const { threads, type, folder } = values;
const runs = Number(values.runs);
await mkdir(folder, { recursive: true });
const at = (name: string) => join(folder, name);
const shape = values.shape as CheckpointShape;
const source = values.source ?? (await writeCheckpoint(at(shape), shape, "random"));
const halves = at("f16.gguf");

interface Run {
  seconds: number;
  peakBytes: number;
}

const toHalves: Run[] = [];
const toQuantised: Run[] = [];
const native: Run[] = [];
const copies: Run[] = [];
// turn about, so that what disturbs the machine disturbs all
for (let run = 0; run < runs; run++) {
  toHalves.push(await convert(source, halves, "F16"));
  copies.push(await copy(halves, at("copy.gguf")));
  if (type === "F16") continue;
  native.push(await quantiseNatively(halves, at("native.gguf")));
  toQuantised.push(await convert(source, at("ours.gguf"), type));
}
const bytes = (await stat(halves)).size;
const seconds = (of: Run[]) => median(of.map((run) => run.seconds));
const row = (name: string, of: Run[], against?: Run[]) => [
  name,
  `${seconds(of).toFixed(2)} s`,
  `${formatBytes(Math.round(bytes / seconds(of)))}/s`,
  against ? `${(seconds(of) / seconds(against)).toFixed(2)}×` : "",
  formatBytes(Math.max(...of.map((run) => run.peakBytes))),
];
console.log(`${source}: ${formatBytes(bytes)} as F16, ${threads} threads, median of ${runs}\n`);
console.log(
  table(
    ["", "time", "of F16 bytes", "time against", "most memory, all processes"],
    [
      ...(native.length > 0
        ? [
            row(`llama_model_quantize, F16 → ${type}`, native),
            row(`jauge convert, source → ${type}`, toQuantised, native),
          ]
        : []),
      row("cp and sync, F16", copies),
      row("jauge convert, source → F16", toHalves, copies),
    ],
  ),
);

/** The command as a person runs it. */
async function convert(input: string, output: string, wanted: string): Promise<Run> {
  const cli = fromRoot("dist", "cli", "main.js");
  const options = [
    "--type",
    wanted,
    "--threads",
    threads!,
    "--force",
    "--restart",
    "--allow-requantize",
    "--json",
  ];
  // the page cache of the run before is free for this one, as it is for the copy
  await rm(output, { force: true });
  return measured(() =>
    spawn(process.execPath, [cli, "convert", input, "-o", output, ...options], {
      stdio: ["ignore", "ignore", "inherit"],
    }),
  );
}

async function quantiseNatively(input: string, output: string): Promise<Run> {
  await rm(output, { force: true });
  return measured(() => {
    const child = fork(fromRoot("test", "quantize", "quantize-child.mjs"), [], {
      execArgv: [],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    const fileType = fileTypeOf(type as MixName);
    const job = { input, output, fileType, dry: false, params: { nthread: Number(threads) } };
    child.send({ libraries: findLibraries({ backend: "cpu" }), jobs: [job] });
    return child;
  });
}

/** A conversion is on the disk when it ends: so shall the copy be. */
async function copy(input: string, output: string): Promise<Run> {
  await rm(output, { force: true });
  return measured(() =>
    spawn("sh", ["-c", 'cp "$1" "$2" && sync "$2"', "sh", input, output], { stdio: "ignore" }),
  );
}

async function measured(start: () => ReturnType<typeof spawn>): Promise<Run> {
  execFileSync("sync");
  const begun = performance.now();
  const child = start();
  const memory = new TreeMemory(child.pid!);
  const [code] = await once(child, "exit");
  const taken = (performance.now() - begun) / 1000;
  if (code !== 0) throw new Error(`${child.spawnargs.join(" ")} ended with ${code}`);
  return { seconds: taken, peakBytes: memory.stop() };
}
