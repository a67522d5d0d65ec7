import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { median } from "../src/statistics.js";
import { machineDescription } from "./machine.js";
import { embeddedModel, fromRoot } from "./paths.js";
import { table } from "./statistics.js";

/**
 * Cold start: from the start of a process to its first byte of output, `jauge run` against the bare load of the
 * libraries and the model. The two take turns.
 */
const { values } = parseArgs({
  options: { runs: { type: "string", default: "11" }, threads: { type: "string", default: "2" } },
});
const command = `node bench/run.mjs start ${process.argv.slice(2).join(" ")}`.trim();
console.log(`${machineDescription(command)}\n`);

const prompt = "Once upon a time";
const contenders = {
  jauge: [fromRoot("dist", "cli", "main.js"), "run", embeddedModel, prompt, "-n", "1", "--temp", "0"],
  bare: [fromRoot("bench", "dist", "bench", "bare-start.js"), embeddedModel, values.threads],
};
const measured: Record<keyof typeof contenders, number[]> = { jauge: [], bare: [] };
// The first turn only brings the files into memory.
for (let run = 0; run <= Number(values.runs); run++) {
  for (const name of ["jauge", "bare"] as const) {
    const ms = await firstByte(contenders[name]);
    if (run > 0) measured[name].push(ms);
  }
}

const rows = Object.entries(measured).map(([name, all]) => [
  name,
  median(all).toFixed(0),
  `${Math.min(...all).toFixed(0)}–${Math.max(...all).toFixed(0)}`,
]);
console.log(table(["cold start", "median ms", "range ms"], rows));
const over = median(measured.jauge) - median(measured.bare);
console.log(
  `\njauge over bare: ${over.toFixed(0)} ms (target: under 1000 ms, ${over < 1000 ? "reached" : "missed"})`,
);

/** Milliseconds from the start of a Node process to the first byte on its standard output. */
function firstByte(args: string[]): Promise<number> {
  const start = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let ms: number | undefined;
  let log = "";
  child.stdout.on("data", () => {
    ms ??= performance.now() - start;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-4000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0 && ms !== undefined) resolve(ms);
      else
        reject(new Error(`${args.join(" ")} ended with ${code} and ${ms ? "some" : "no"} output:\n${log}`));
    });
  });
}
