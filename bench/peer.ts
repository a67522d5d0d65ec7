import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { generatedModel, type ShapeName } from "./generate-model.js";
import { type Measurement, type RunOptions, report, timed } from "./measurement.js";
import { fromRoot } from "./paths.js";
import type { NodeLlamaCpp, PeerSequence } from "./peer-types.js";
import { job, jobPrompts, randomTokens, single, type WorkloadName } from "./workloads.js";

/** How the peer's batching runs; take the settings that are best for it on the machine at hand. */
export interface PeerTuning extends RunOptions {
  order: "maximumParallelism" | "firstInFirstOut";
  /** Carry the shared prefix from one sequence to the others through a file, the one way the peer offers. */
  shareByFile: boolean;
}

/** What node-llama-cpp makes of a workload, through its public API. */
export async function peer(workload: WorkloadName, tuning: PeerTuning): Promise<Measurement[]> {
  return workload === "single" ? peerSingle(tuning) : [await peerJob(workload, tuning)];
}

/** Where node-llama-cpp is installed, its version; undefined where it is not. */
export function peerVersion(): string | undefined {
  try {
    const path = fromRoot("bench", "node_modules", "node-llama-cpp", "package.json");
    return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
  } catch {
    return undefined;
  }
}

async function peerSingle(tuning: PeerTuning): Promise<Measurement[]> {
  const model = await loadPeer(tuning);
  const context = await model.createContext({
    contextSize: single.contextLength,
    batchSize: single.prefill,
    threads: tuning.threads,
  });
  const sequence = context.getSequence();
  const continued = async (seed: number, prompt: number, count: number): Promise<number[]> => {
    await sequence.clearHistory();
    return generate(sequence, randomTokens(seed, prompt), count);
  };
  await continued(1, single.prefill, 1);
  await continued(2, 1, 8);
  const first = await timed(() => continued(3, single.prefill, 1));
  const text = await timed(() => continued(4, 1, single.decode));
  await context.dispose();
  return [
    { test: "pp512", seconds: first.seconds, tokens: single.prefill, generated: [first.result] },
    { test: "tg128", seconds: text.seconds, tokens: single.decode, generated: [text.result] },
  ];
}

async function peerJob(workload: "shared" | "distinct", tuning: PeerTuning): Promise<Measurement> {
  const model = await loadPeer(tuning);
  const context = await model.createContext({
    sequences: job.parallel,
    contextSize: job.prompt + job.generate,
    batchSize: job.microBatch,
    threads: tuning.threads,
    batching: { itemPrioritizationStrategy: tuning.order },
  });
  const sequences = Array.from({ length: job.parallel }, () => context.getSequence());
  const prompts = jobPrompts(workload);
  const generated: number[][] = [];
  const folder = await mkdtemp(join(tmpdir(), "jauge-bench-"));
  await sequences[0]!.evaluateWithoutGeneratingNewTokens([...randomTokens(1, 256)]);
  await sequences[0]!.clearHistory();

  const { seconds } = await timed(async () => {
    if (workload === "shared" && tuning.shareByFile) {
      const state = join(folder, "prefix");
      await sequences[0]!.evaluateWithoutGeneratingNewTokens([...prompts[0]!.subarray(0, job.prefix)]);
      await sequences[0]!.saveStateToFile(state);
      for (const sequence of sequences.slice(1))
        await sequence.loadStateFromFile(state, { acceptRisk: true });
    }
    let next = 0;
    await Promise.all(
      sequences.map(async (sequence) => {
        while (next < prompts.length) {
          const request = next++;
          const prompt = prompts[request]!;
          // Keeps what the sequence already holds of this prompt: the shared prefix.
          await sequence.adaptStateToTokens([...prompt], false);
          generated[request] = await generate(
            sequence,
            prompt.subarray(sequence.nextTokenIndex),
            job.generate,
          );
        }
      }),
    );
  });
  await context.dispose();
  await rm(folder, { recursive: true });
  return { test: workload, seconds, tokens: job.requests * (job.prompt + job.generate), generated };
}

/** Continues a sequence by `count` greedy tokens, end tokens included. */
export async function generate(sequence: PeerSequence, prompt: Int32Array, count: number): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of sequence.evaluate([...prompt], { temperature: 0, yieldEogToken: true })) {
    tokens.push(token);
    if (tokens.length === count) break;
  }
  return tokens;
}

export async function loadPeer(tuning: RunOptions) {
  // By a name the compiler does not follow: the peer is installed for the bench only.
  const name: string = "node-llama-cpp";
  const { getLlama } = (await import(name)) as NodeLlamaCpp;
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: tuning.threads });
  return llama.loadModel({ modelPath: tuning.modelPath });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values, positionals } = parseArgs({
    options: {
      shape: { type: "string", default: "1b" },
      threads: { type: "string", default: "2" },
      order: { type: "string", default: "firstInFirstOut" },
      "no-file": { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (peerVersion() === undefined) throw new Error("node-llama-cpp is not installed: run npm ci in bench/");
  const measurements = await peer((positionals[0] ?? "single") as WorkloadName, {
    modelPath: await generatedModel(values.shape as ShapeName),
    threads: Number(values.threads),
    order: values.order as PeerTuning["order"],
    shareByFile: !values["no-file"],
  });
  report(measurements);
  process.exit(0);
}
