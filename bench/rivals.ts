import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { listDevices, measure } from "../src/engine/engine.js";
import type { Backend } from "../src/engine/native/libraries.js";
import { type Plan, simplePlan } from "../src/plan/plan.js";
import type { ModelSource } from "../src/plan/source.js";
import { planModel } from "../src/planner/plan-model.js";
import { openSource } from "../src/planner/sources/open.js";
import type { FitAnswer, FitQuestion } from "./fit-child.js";
import { machineDescription } from "./machine.js";
import { measuredFacts } from "./measured-facts.js";
import { fromRoot } from "./paths.js";
import { randomModel, type TimedModel } from "./planner-models.js";
import { retried } from "./retry.js";
import { measuredSpeeds, type Speeds } from "./speed.js";
import { table } from "./statistics.js";

// The plan against what one gets without it within the same device budget: the best number of whole layers, found by
// trying all, and llama.cpp's own --fit told to leave as much free.

const { values } = parseArgs({
  options: {
    models: { type: "string", default: "small-mixture,small-dense" },
    /** Device budgets, percent of the weights. */
    budgets: { type: "string", default: "50" },
    prompt: { type: "string", default: "512" },
    generated: { type: "string", default: "32" },
    runs: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    backend: { type: "string", default: "vulkan" },
    cached: { type: "boolean", default: false },
  },
});
if (values.backend === "vulkan") process.env.GGML_VK_VISIBLE_DEVICES ??= "0";
const libraries = { backend: values.backend as Backend };
const [prompt, generated, repeats, threads] = [
  ...[values.prompt, values.generated, values.runs, values.threads].map(Number),
] as [number, number, number, number];
const settings = {
  ...{ contextLength: 1024, sequences: 1, microBatch: 512, kvTypeK: "f16", kvTypeV: "f16" },
  ...{ threads, threadsBatch: threads },
} as const satisfies Partial<Plan>;

const names = values.models.split(",");
const sources: ModelSource[] = [];
for (const name of names) sources.push(await openSource(await randomModel(name as TimedModel)));
const facts = await retried(() => measuredFacts(libraries, threads, sources, !values.cached));
const [device] = facts.devices;
if (!device) throw new Error(`no device with ${values.backend}`);

/** One way to run a model, and what came of it. */
interface Contender {
  name: string;
  plan: Plan;
  setting: string;
  speeds?: Speeds;
}

const rows: string[][] = [];
const verdicts: string[][] = [];
for (const [index, source] of sources.entries()) {
  for (const percent of values.budgets.split(",").map(Number))
    await compare(names[index]!, source, percent, Math.floor((percent / 100) * source.outline.bytes.total));
}
const command = `node bench/run.mjs rivals --runs ${repeats} --threads ${threads} --backend ${values.backend}`;
console.log(machineDescription(command));
const header = ["model", "budget MB", "contender", "setting", "MB on device"];
console.log(`\n${table([...header, `pp${prompt}`, `tg${generated}@${prompt}`, "s of a request"], rows)}`);
console.log(`\n${table(["model", "budget MB", "jauge against", "ratio", "target", ""], verdicts)}`);

async function compare(name: string, source: ModelSource, percent: number, budget: number): Promise<void> {
  const base = simplePlan({ ...settings, modelPath: source.path!, loadMode: "mmap" });
  const own = await retried(() =>
    planModel({
      ...{ model: source, wishes: settings, objective: "chat", facts, libraries },
      budgets: { vram: { kind: "bytes", bytes: budget } },
    }),
  );
  const setting = `${own.engine.gpuLayers} layers, ${own.engine.tensorOverrides.length} overrides`;
  const contenders = [
    await bestWholeLayers(source, base, budget),
    await fitted(base, budget),
    { name: "jauge", plan: own.engine, setting },
  ];
  // In turn, so that a machine that changes its pace changes it for all.
  for (const contender of contenders)
    contender.speeds = await measuredSpeeds(contender.plan, { libraries, prompt, generated, repeats });
  for (const { name: contender, plan, setting, speeds } of contenders) {
    const used = await onDevice(plan);
    rows.push([
      ...[name, (budget / 1e6).toFixed(0), contender, setting],
      `${(used / 1e6).toFixed(1)}${used > budget ? " (over)" : ""}`,
      ...[speeds!.prefill.toFixed(1), speeds!.decode.toFixed(1), requestSeconds(speeds!).toFixed(2)],
    ]);
    console.error(`bench: ${rows.at(-1)!.join("  ")}`);
  }
  const jauge = requestSeconds(contenders.at(-1)!.speeds!);
  const target = (source.outline.experts ?? 0) > 0 && percent < 100 ? 1.3 : 1;
  for (const rival of contenders.slice(0, -1)) {
    const ratio = requestSeconds(rival.speeds!) / jauge;
    const verdict = ratio >= target ? "reached" : ratio >= 0.95 * target ? "within noise" : "missed";
    verdicts.push([
      name,
      (budget / 1e6).toFixed(0),
      rival.name,
      ratio.toFixed(2),
      target.toFixed(2),
      verdict,
    ]);
  }
}

/** A prompt and an answer of half its length: what the planner means by speed, too. */
function requestSeconds({ prefill, decode }: Speeds): number {
  return prompt / prefill + prompt / 2 / decode;
}

/** All numbers of layers that fit are tried with a short request; the fastest is the rival. */
async function bestWholeLayers(source: ModelSource, base: Plan, budget: number): Promise<Contender> {
  const plans: Contender[] = [
    { name: "best whole layers", plan: { ...base, gpuLayers: 0, devices: [] }, setting: "no device" },
  ];
  for (let layers = 0; layers <= source.outline.layers + 1; layers++) {
    const plan = { ...base, gpuLayers: layers, devices: [device!.name] };
    if ((await onDevice(plan)) <= budget)
      plans.push({ name: "best whole layers", plan, setting: `${layers} layers` });
  }
  let best: { contender: Contender; seconds: number } | undefined;
  for (const contender of plans) {
    const short = { libraries, prompt: Math.min(64, prompt), generated: 4, repeats: 1 };
    const seconds = requestSeconds(await measuredSpeeds(contender.plan, short));
    console.error(`bench: ${contender.setting}: ${seconds.toFixed(2)} s`);
    if (!best || seconds < best.seconds) best = { contender, seconds };
  }
  return best!.contender;
}

/** What llama.cpp's --fit makes of the same settings when it is to leave free what is beyond the budget. */
async function fitted(base: Plan, budget: number): Promise<Contender> {
  const free = (await retried(() => listDevices({ libraries }))).find(({ name }) => name === device!.name)!;
  const question: FitQuestion = { libraries, plan: base, marginBytes: free.freeBytes - budget };
  const child = fromRoot("bench", "dist", "bench", "fit-child.js");
  for (let attempt = 1; ; attempt++) {
    const { status, stdout } = spawnSync(process.execPath, [child, JSON.stringify(question)], {
      ...{ encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
    });
    if (status !== 0 && attempt < 8) continue;
    if (status !== 0) throw new Error("--fit ends without an answer");
    const { fits, gpuLayers, tensorOverrides } = JSON.parse(stdout.trim().split("\n").at(-1)!) as FitAnswer;
    const plan = { ...base, gpuLayers, tensorOverrides, devices: [device!.name] };
    const setting = `${gpuLayers} layers, ${tensorOverrides.length} overrides${fits ? "" : ", does not fit"}`;
    return { name: "llama.cpp --fit", plan, setting };
  }
}

/** Bytes on the device, the runtime's own included. */
async function onDevice(plan: Plan): Promise<number> {
  const uses = await retried(() => measure(plan, { libraries }));
  const use = uses.find((one) => one.device === device!.name);
  const bytes = use ? use.weightsBytes + use.kvBytes + use.computeBytes : 0;
  return bytes === 0 ? 0 : bytes + device!.runtimeBytes;
}
