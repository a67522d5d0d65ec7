import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { greedy } from "../src/engine/sampling.js";
import type { Model } from "../src/index.js";
import { generatedModel, type ShapeName } from "./generate-model.js";
import { type Measurement, type RunOptions, report, timed } from "./measurement.js";
import { fromRoot } from "./paths.js";
import { job, jobPrompts, randomTokens, single, type WorkloadName } from "./workloads.js";

/** What jauge makes of a workload, through its public API. */
export async function jauge(workload: WorkloadName, options: RunOptions): Promise<Measurement[]> {
  return workload === "single" ? jaugeSingle(options) : [await jaugeJob(workload, options)];
}

/** Loads a model with jauge as it ships: the build in dist/, not a second one compiled with the bench. */
export async function loadWithJauge(
  modelPath: string,
  options: { contextLength: number; sequences: number; microBatch: number; threads: number },
): Promise<Model> {
  const built = pathToFileURL(fromRoot("dist", "index.js")).href;
  const { load } = (await import(built)) as typeof import("../src/index.js");
  return load(modelPath, { ...options, backend: "cpu", speculation: false });
}

/** Continues tokens by the most probable ones, past any end token. */
export async function generate(model: Model, tokens: Int32Array, count: number): Promise<number[]> {
  const sampling = { ...greedy, ignoreEndOfGeneration: true };
  const result = await model.generate({ tokens, sampling, maxTokens: count }).result;
  return result.tokens;
}

async function jaugeSingle({ modelPath, threads }: RunOptions): Promise<Measurement[]> {
  const model = await loadWithJauge(modelPath, {
    contextLength: single.contextLength,
    sequences: 1,
    microBatch: single.prefill,
    threads,
  });
  await generate(model, randomTokens(1, single.prefill), 1);
  await generate(model, randomTokens(2, 1), 8);
  const first = await timed(() => generate(model, randomTokens(3, single.prefill), 1));
  const text = await timed(() => generate(model, randomTokens(4, 1), single.decode));
  await model.close();
  return [
    { test: "pp512", seconds: first.seconds, tokens: single.prefill, generated: [first.result] },
    { test: "tg128", seconds: text.seconds, tokens: single.decode, generated: [text.result] },
  ];
}

async function jaugeJob(workload: "shared" | "distinct", options: RunOptions): Promise<Measurement> {
  const { modelPath, threads } = options;
  const model = await loadWithJauge(modelPath, {
    contextLength: job.prompt + job.generate,
    sequences: job.parallel,
    microBatch: job.microBatch,
    threads,
  });
  const prompts = jobPrompts(workload);
  await generate(model, randomTokens(1, 256), 1);
  const { seconds, result } = await timed(() =>
    Promise.all(prompts.map((prompt) => generate(model, prompt, job.generate))),
  );
  await model.close();
  return {
    test: workload,
    seconds,
    tokens: job.requests * (job.prompt + job.generate),
    generated: result,
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values, positionals } = parseArgs({
    options: { shape: { type: "string", default: "1b" }, threads: { type: "string", default: "2" } },
    allowPositionals: true,
  });
  const modelPath = await generatedModel(values.shape as ShapeName);
  report(
    await jauge((positionals[0] ?? "single") as WorkloadName, { modelPath, threads: Number(values.threads) }),
  );
}
