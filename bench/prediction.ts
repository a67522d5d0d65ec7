import { parseArgs } from "node:util";
import type { Backend } from "../src/engine/native/libraries.js";
import type { HardwareFacts } from "../src/hardware/facts.js";
import type { ModelPlan } from "../src/plan/model-plan.js";
import type { Plan } from "../src/plan/plan.js";
import type { ModelSource } from "../src/plan/source.js";
import { planModel } from "../src/planner/plan-model.js";
import { openSource } from "../src/planner/sources/open.js";
import { median } from "../src/statistics.js";
import { machineDescription } from "./machine.js";
import { measuredFacts } from "./measured-facts.js";
import { randomModel, type TimedModel } from "./planner-models.js";
import { retried } from "./retry.js";
import { measuredSpeeds, type Speeds } from "./speed.js";
import { table } from "./statistics.js";
import { preferringDevices } from "./synthetic-facts.js";

// Predicted speeds against measured ones: after the doctor, on the CPU alone and on splits between it and a device.
// The doctor measures anew before each model: a virtual machine's speed changes within minutes, and this is about the
// cost model.

/** Ratios that may be missed by at most so much. */
const targets = { median: 0.15, worst: 0.3 };

const { values } = parseArgs({
  options: {
    /** Those that the CPU runs alone, and those that are split: names of `planner-models.ts`, or files. */
    models: { type: "string", default: "dense,mixture,mha" },
    "split-models": { type: "string", default: "small-dense,small-mixture,small-mha" },
    /** Shares of the weights that the device may hold, percent. */
    splits: { type: "string", default: "25,50,75" },
    sequences: { type: "string", default: "1,8" },
    prompt: { type: "string", default: "512" },
    generated: { type: "string", default: "32" },
    runs: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    backend: { type: "string", default: "vulkan" },
    /** Takes the doctor's cached speeds where it has them. */
    cached: { type: "boolean", default: false },
  },
});
// Mesa's llvmpipe, where there is no other device.
if (values.backend === "vulkan") process.env.GGML_VK_VISIBLE_DEVICES ??= "0";
const [prompt, generated, repeats, threads] = [
  ...[values.prompt, values.generated, values.runs, values.threads].map(Number),
] as [number, number, number, number];

/** A model and the shares of it that a device may hold, percent; 0 is the CPU alone. */
const jobs = [
  ...listOf(values.models).map((name) => ({ name, splits: [0] })),
  ...listOf(values["split-models"]).map((name) => ({ name, splits: listOf(values.splits).map(Number) })),
];

const rows: string[][] = [];
const ratios = { prefill: [] as number[], decode: [] as number[] };
for (const { name, splits } of jobs) {
  const source = await openSource(name.endsWith(".gguf") ? name : await randomModel(name as TimedModel));
  const libraries = { backend: splits.some((share) => share > 0) ? (values.backend as Backend) : "cpu" };
  const place: Place = { source, libraries, facts: await doctored(source, libraries) };
  for (const split of splits) {
    for (const sequences of listOf(values.sequences).map(Number)) {
      const plan = await retried(() => splitPlan(place, split / 100, sequences));
      const measured = await measuredSpeeds(plan.engine, { libraries, prompt, generated, repeats });
      addRow(name, split, plan, measured);
    }
  }
}
print();

function listOf(text: string): string[] {
  return text === "" ? [] : text.split(",");
}

interface Place {
  source: ModelSource;
  libraries: { backend: Backend };
  facts: HardwareFacts;
}

async function doctored(source: ModelSource, libraries: Place["libraries"]): Promise<HardwareFacts> {
  const start = performance.now();
  const facts = await retried(() => measuredFacts(libraries, threads, [source], !values.cached));
  console.error(`bench: the doctor took ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return facts;
}

/** A plan that uses such a share of the weights' bytes on devices, and the doctor's speeds to predict how it runs. */
async function splitPlan(place: Place, share: number, sequences: number): Promise<ModelPlan> {
  const { source, facts } = place;
  const settings: Partial<Plan> = {
    // A prompt of fewer tokens than a micro-batch is one of its own size.
    ...{ contextLength: 1024, sequences, microBatch: Math.min(512, prompt), kvTypeK: "f16", kvTypeV: "f16" },
    ...{ threads, threadsBatch: threads },
  };
  const bytes = Math.floor(share * source.outline.bytes.total);
  if (share === 0) return planned(place, { ...settings, gpuLayers: 0 }, 0);
  // Another machine's facts choose where everything goes: here a software device would be left empty.
  const wanted = await planned({ ...place, facts: preferringDevices(facts) }, settings, bytes);
  const { gpuLayers, tensorOverrides, devices, hostMemory, streamWeights } = wanted.engine;
  return planned(
    place,
    {
      ...{ ...settings, gpuLayers, tensorOverrides },
      ...(devices && { devices }),
      ...(hostMemory && { hostMemory }),
      ...(streamWeights !== undefined && { streamWeights }),
    },
    bytes,
  );
}

function planned(
  { source: model, libraries, facts }: Place,
  wishes: Partial<Plan>,
  vramBytes: number,
): Promise<ModelPlan> {
  const vram = { kind: "bytes", bytes: vramBytes } as const;
  // What is measured is what is predicted: attention costs by what is before a token.
  const job = { promptTokens: prompt, answerTokens: generated, longest: prompt + generated };
  return planModel({ model, budgets: { vram }, wishes, objective: "chat", facts, libraries, job });
}

function addRow(name: string, split: number, plan: ModelPlan, measured: Speeds): void {
  const { prefillTokensPerSecond, decodeTokensPerSecond, limitedBy } = plan.predicted;
  const ratio = {
    prefill: prefillTokensPerSecond / measured.prefill,
    decode: decodeTokensPerSecond / measured.decode,
  };
  ratios.prefill.push(ratio.prefill);
  ratios.decode.push(ratio.decode);
  const used = plan.devices.reduce((sum, device) => sum + device.plannedBytes, 0);
  rows.push([
    ...[name, `${split} %`, `${(used / 1e6).toFixed(0)}`, modeOf(plan.engine), String(plan.engine.sequences)],
    ...[prefillTokensPerSecond.toFixed(1), measured.prefill.toFixed(1), ratio.prefill.toFixed(2)],
    ...[decodeTokensPerSecond.toFixed(1), measured.decode.toFixed(1), ratio.decode.toFixed(2), limitedBy],
  ]);
  console.error(`bench: ${rows.at(-1)!.join("  ")}`);
}

function modeOf({ devices, hostMemory, streamWeights }: Plan): string {
  if (!devices?.length) return "CPU";
  return streamWeights === false ? (hostMemory ?? "pinned") : "streamed";
}

function print(): void {
  const header = [
    ...["model", "budget", "MB on devices", "host weights", "sequences"],
    ...[`pp${prompt} predicted`, "measured", "ratio"],
    ...[`tg${generated}@${prompt} predicted`, "measured", "ratio", "limited by"],
  ];
  const errors = (of: number[]) => of.map((ratio) => Math.abs(ratio - 1));
  const summary = (["prefill", "decode"] as const).flatMap((kind) => {
    const all = errors(ratios[kind]);
    return [
      result(`${kind}: median error`, median(all), targets.median),
      result(`${kind}: worst error`, Math.max(...all), targets.worst),
    ];
  });
  const command = `node bench/run.mjs prediction --runs ${repeats} --threads ${threads} --backend ${values.backend}`;
  console.log(machineDescription(command));
  console.log(`\n${table(header, rows)}`);
  console.log(`\n${table(["prediction", "error", "target", ""], summary)}`);
}

function result(name: string, error: number, target: number): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  return [name, percent(error), percent(target), error <= target ? "reached" : "missed"];
}
