import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { BareEngine } from "./bare-engine.js";
import { generatedModel, type ShapeName } from "./generate-model.js";
import { type Measurement, report, timed } from "./measurement.js";
import { job, jobPrompts, randomTokens, single, type WorkloadName } from "./workloads.js";

/** What can be tuned about the bare loop; take the settings that are best for it on the machine at hand. */
export interface BareTuning {
  threads: number;
  /** Sequences that are prefilled in lockstep, each with an equal share of the micro-batch. */
  lanes: number;
  microBatch: number;
  poll?: number;
  flashAttention: "auto" | "on" | "off";
}

/** The yardstick: a loop of native calls that does what a workload asks and nothing else. */
export async function bare(
  workload: WorkloadName,
  modelPath: string,
  tuning: BareTuning,
): Promise<Measurement[]> {
  return workload === "single" ? bareSingle(modelPath, tuning) : [await bareJob(workload, modelPath, tuning)];
}

async function bareSingle(modelPath: string, tuning: BareTuning): Promise<Measurement[]> {
  const engine = new BareEngine({
    ...tuning,
    modelPath,
    sequences: 1,
    contextLength: single.contextLength,
    batch: single.prefill,
  });
  const prefill = (seed: number): number => {
    engine.clear();
    const tokens = randomTokens(seed, single.prefill);
    tokens.forEach((token, position) => {
      engine.add(token, position, 0, position === tokens.length - 1);
    });
    engine.decode();
    return engine.greedy(1)[0]!;
  };
  const generate = (seed: number, count: number): number[] => {
    engine.clear();
    let token = randomTokens(seed, 1)[0]!;
    return Array.from({ length: count }, (_, position) => {
      engine.add(token, position, 0, true);
      engine.decode();
      token = engine.greedy(1)[0]!;
      return token;
    });
  };
  prefill(1);
  generate(2, 8);
  const first = await timed(() => prefill(3));
  const text = await timed(() => generate(4, single.decode));
  engine.close();
  return [
    { test: "pp512", seconds: first.seconds, tokens: single.prefill, generated: [[first.result]] },
    { test: "tg128", seconds: text.seconds, tokens: single.decode, generated: [text.result] },
  ];
}

async function bareJob(
  workload: "shared" | "distinct",
  modelPath: string,
  tuning: BareTuning,
): Promise<Measurement> {
  const engine = new BareEngine({
    ...tuning,
    modelPath,
    sequences: job.parallel,
    contextLength: job.prompt + job.generate,
    batch: tuning.microBatch,
  });
  const prompts = jobPrompts(workload);
  const generated: number[][] = prompts.map(() => []);
  prefill(engine, [randomTokens(1, 256)], 0, { ...tuning, lanes: 1 });
  engine.clear();

  const { seconds } = await timed(() => {
    const shared = workload === "shared" ? job.prefix : 0;
    if (shared > 0) {
      prefill(engine, [prompts[0]!.subarray(0, shared)], 0, { ...tuning, lanes: 1 });
      for (let sequence = 1; sequence < job.parallel; sequence++) engine.copy(0, sequence);
    }
    for (let first = 0; first < job.requests; first += job.parallel) {
      // The prefix of the requests before is still there.
      for (let sequence = 0; first > 0 && sequence < job.parallel; sequence++)
        engine.truncate(sequence, shared);
      const texts = prompts.slice(first, first + job.parallel).map((prompt) => prompt.subarray(shared));
      const next = prefill(engine, texts, shared, tuning);
      for (let step = 0; ; step++) {
        next.forEach((token, sequence) => {
          generated[first + sequence]!.push(token);
        });
        if (step === job.generate - 1) break;
        next.forEach((token, sequence) => {
          engine.add(token, job.prompt + step, sequence, true);
        });
        engine.decode();
        next.splice(0, next.length, ...engine.greedy(next.length));
      }
    }
  });
  engine.close();
  return { test: workload, seconds, tokens: job.requests * (job.prompt + job.generate), generated };
}

/**
 * Prefills texts of equal length into the sequences 0, 1, …, all behind `position` tokens, and returns the first
 * token of each. The library cuts a batch of several KV streams into micro-batches of equally many tokens for each
 * sequence, so groups of sequences advance in lockstep.
 */
function prefill(engine: BareEngine, texts: Int32Array[], position: number, tuning: BareTuning): number[] {
  const first: number[] = [];
  const length = texts[0]!.length;
  for (let lane = 0; lane < texts.length; lane += tuning.lanes) {
    const group = texts.slice(lane, lane + tuning.lanes);
    const step = Math.floor(tuning.microBatch / group.length);
    for (let from = 0; from < length; from += step) {
      const to = Math.min(from + step, length);
      group.forEach((text, index) => {
        for (let at = from; at < to; at++)
          engine.add(text[at]!, position + at, lane + index, at === length - 1);
      });
      engine.decode();
    }
    first.push(...engine.greedy(group.length));
  }
  return first;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values, positionals } = parseArgs({
    options: {
      shape: { type: "string", default: "1b" },
      threads: { type: "string", default: "2" },
      lanes: { type: "string", default: "32" },
      "micro-batch": { type: "string", default: String(job.microBatch) },
      poll: { type: "string" },
      "flash-attention": { type: "string", default: "auto" },
    },
    allowPositionals: true,
  });
  const tuning: BareTuning = {
    threads: Number(values.threads),
    lanes: Number(values.lanes),
    microBatch: Number(values["micro-batch"]),
    flashAttention: values["flash-attention"] as BareTuning["flashAttention"],
    ...(values.poll && { poll: Number(values.poll) }),
  };
  const modelPath = await generatedModel(values.shape as ShapeName);
  report(await bare((positionals[0] ?? "single") as WorkloadName, modelPath, tuning));
}
