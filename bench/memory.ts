import { parseArgs } from "node:util";
import { median } from "../src/statistics.js";
import { generate, loadWithJauge } from "./jauge.js";
import { machineDescription } from "./machine.js";
import { embeddedModel } from "./paths.js";
import { Random } from "./random.js";
import { table } from "./statistics.js";

/**
 * Memory of the parent process, this one, over many finished requests. It holds no native memory: what it grows by
 * is what a request leaves behind.
 */
const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "10000" },
    every: { type: "string", default: "50" },
    sequences: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
  },
});
const command = `node bench/run.mjs memory ${process.argv.slice(2).join(" ")}`.trim();
console.log(`${machineDescription(command)}\n`);

const requests = Number(values.requests);
const every = Number(values.every);
const sequences = Number(values.sequences);
const prompt = 24;
const count = 8;
/** Tokens of the embedded model that are words: behind the special ones and the bytes. */
const [firstWord, words] = [259, 253];

const before = process.memoryUsage.rss();
const model = await loadWithJauge(embeddedModel, {
  contextLength: 64,
  sequences,
  microBatch: 512,
  threads: Number(values.threads),
});
const random = new Random(7);
const samples: { request: number; rss: number; heap: number }[] = [];
let started = 0;
let finished = 0;
// Twice as many requests as sequences are under way, so that there is always a queue.
await Promise.all(
  Array.from({ length: 2 * sequences }, async () => {
    while (started < requests) {
      started++;
      const tokens = Int32Array.from({ length: prompt }, () => firstWord + random.below(words));
      await generate(model, tokens, count);
      finished++;
      if (finished % every === 0) sample();
    }
  }),
);
await model.close();

/** Around a request, the middle of the samples: garbage collection makes single ones jump. */
const around = (request: number, of: "rss" | "heap"): number =>
  median(samples.filter((one) => Math.abs(one.request - request) <= requests / 20).map((one) => one[of]));
const early = requests / 10;
const late = requests - requests / 20;
const rows = [
  ["before loading", mebibytes(before), ""],
  [`around request ${early}`, mebibytes(around(early, "rss")), mebibytes(around(early, "heap"))],
  [
    `around request ${requests / 2}`,
    mebibytes(around(requests / 2, "rss")),
    mebibytes(around(requests / 2, "heap")),
  ],
  [`around request ${late}`, mebibytes(around(late, "rss")), mebibytes(around(late, "heap"))],
  [
    "most",
    mebibytes(Math.max(...samples.map(({ rss }) => rss))),
    mebibytes(Math.max(...samples.map(({ heap }) => heap))),
  ],
];
console.log(table(["parent process", "RSS MiB", "heap MiB"], rows));
const most = Math.max(...samples.map(({ rss }) => rss)) / 1e6;
const growth = (around(late, "rss") - around(early, "rss")) / 1e6;
console.log(`\nmost RSS: ${most.toFixed(1)} MB (target: under 150 MB, ${most < 150 ? "reached" : "missed"})`);
console.log(`growth from request ${early} to ${late}: ${growth.toFixed(1)} MB (target: none)`);

function sample(): void {
  const { rss, heapUsed } = process.memoryUsage();
  samples.push({ request: finished, rss, heap: heapUsed });
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
