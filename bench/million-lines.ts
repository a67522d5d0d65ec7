import { once } from "node:events";
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSource } from "../src/batch/input/source.js";
import { Job } from "../src/batch/job.js";
import type { BatchModel } from "../src/batch/model.js";
import { defaultSampling } from "../src/engine/sampling.js";
import type { Generation, GenerationResult } from "../src/executor/request.js";
import { residentBytes } from "../src/hardware/resident.js";
import { machineDescription } from "./machine.js";
import { table } from "./statistics.js";

/**
 * A job of a million lines: the memory of the process that runs it, and the time that it takes itself. The engine is a
 * stand-in that answers at once, so that all of the time is the job's own; what share of the whole that is with a real
 * engine depends on how long that takes for a line, and is told for several. Then the job is opened again with all done.
 */
const { values } = parseArgs({
  options: { lines: { type: "string", default: "1000000" }, ordered: { type: "boolean", default: false } },
});
const command = `node bench/run.mjs million-lines ${process.argv.slice(2).join(" ")}`.trim();
console.log(`${machineDescription(command)}\n`);

const count = Number(values.lines);
const mostBytes = 300e6;
const folder = mkdtempSync(join(tmpdir(), "jauge-lines-"));
let mostHeld = 0;
const watching = setInterval(watch, 50);
try {
  const input = join(folder, "in.jsonl");
  const output = join(folder, "out.jsonl");
  await writeLines(input);
  const base = watch();
  const first = await run(input, output);
  const again = await run(input, output);
  const held = await outputLines(output);

  const microseconds = (seconds: number) => `${((seconds * 1e6) / count).toFixed(1)} µs`;
  const rows = [
    [
      "all lines answered",
      first.seconds.toFixed(1),
      microseconds(first.ownSeconds),
      megabytes(first.mostHeld),
    ],
    [
      "all lines skipped",
      again.seconds.toFixed(1),
      microseconds(again.ownSeconds),
      megabytes(again.mostHeld),
    ],
  ];
  console.log(table(["run", "seconds", "CPU for each line", "most RAM"], rows));
  console.log(
    `\ninput ${megabytes(statSync(input).size)}, output ${megabytes(statSync(output).size)}, RAM before ${megabytes(base)}`,
  );
  if (held !== count) throw new Error(`${held} results for ${count} lines`);

  // The job's own work is in the way of the engine only while the engine waits for it; here it never does more.
  const shares = [0.2e-3, 1e-3, 10e-3, 100e-3].map((engine) => {
    const own = first.ownSeconds / count;
    return [`${engine * 1e3} ms`, `${((100 * own) / (own + engine)).toFixed(2)} %`];
  });
  console.log(`\n${table(["engine's time for a line", "outside the engine"], shares)}`);
  const isFlat = Math.max(first.mostHeld, again.mostHeld) < mostBytes;
  console.log(`\nRAM under ${megabytes(mostBytes)}: ${isFlat ? "reached" : "missed"}`);
  if (!isFlat) process.exitCode = 1;
} finally {
  clearInterval(watching);
  rmSync(folder, { recursive: true, force: true });
}

interface Measured {
  seconds: number;
  /** CPU time of this process: what the job itself takes, also where other programs compute beside it. */
  ownSeconds: number;
  mostHeld: number;
}

async function run(input: string, output: string): Promise<Measured> {
  mostHeld = 0;
  const start = performance.now();
  const before = process.cpuUsage();
  const source = await openSource(input, {});
  const settings = { model: { name: "stand-in", fingerprint: "" }, options: {}, seed: 1 };
  const job = await Job.open({ source, output, settings, ordered: values.ordered });
  try {
    const { done, skipped } = await job.run(standIn());
    if (done + skipped !== count) throw new Error(`${done} answered, ${skipped} skipped`);
  } finally {
    await job.close();
  }
  watch();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, ownSeconds: (user + system) / 1e6, mostHeld };
}

/** Answers as an engine with 32 sequences would, in the next turn of the event loop. */
function standIn(): BatchModel {
  const tokens = Int32Array.from({ length: 24 }, (_, index) => index);
  const result: GenerationResult = {
    ...{ text: "An answer of a few words.", tokens: [1, 2, 3, 4, 5, 6], finishReason: "stop" },
    stats: {
      ...{ promptTokens: 24, cachedPromptTokens: 0, promptTokensPerSecond: 1000 },
      ...{ generatedTokens: 6, generationTokensPerSecond: 100, timeToFirstTokenMs: 1 },
      ...{ speculatedTokens: 0, acceptedTokens: 0 },
    },
  };
  // What the stand-in itself takes is no part of the job: all answers of a turn are given together.
  let asked: ((result: GenerationResult) => void)[] = [];
  const answer = () => {
    const ready = asked;
    asked = [];
    for (const resolve of ready) resolve(result);
  };
  const rest = {
    soFar: { tokens: new Int32Array(0) },
    cancel() {},
    async *[Symbol.asyncIterator]() {},
  };
  const generation = (): Generation => ({
    ...rest,
    result: new Promise((resolve) => {
      if (asked.length === 0) setImmediate(answer);
      asked.push(resolve);
    }),
  });
  return {
    ...{ path: "stand-in", outline: {}, plan: { sequences: 32 }, contextLength: 4096 },
    prepare: async () => ({ tokens, sampling: defaultSampling, maxTokens: 16 }),
    submit: generation,
    tokenize: async () => tokens,
    embed: async () => [],
    tokenBytes: async () => [],
  };
}

async function writeLines(path: string): Promise<void> {
  const file = createWriteStream(path);
  for (let index = 0; index < count; index++) {
    const line = {
      ...{ custom_id: `request-${index}`, method: "POST", url: "/v1/chat/completions" },
      body: {
        model: "any",
        messages: [{ role: "user", content: `Summarise document ${index} in a sentence.` }],
        max_tokens: 16,
      },
    };
    if (!file.write(`${JSON.stringify(line)}\n`)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
}

async function outputLines(path: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>)
    for (let place = chunk.indexOf(10); place >= 0; place = chunk.indexOf(10, place + 1)) lines++;
  return lines;
}

function watch(): number {
  const held = residentBytes(process.pid, { mappedFiles: true })?.now ?? process.memoryUsage().rss;
  mostHeld = Math.max(mostHeld, held);
  return held;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
