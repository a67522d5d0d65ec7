import { JaugeError } from "../errors.js";
import { parseJson } from "../json.js";
import type { GenerateOptions, LoadOptions } from "../model.js";
import type { ModelPlan } from "../plan/model-plan.js";
import type { Plan, TensorOverride } from "../plan/plan.js";
import { readSavedPlan, refuseContradiction } from "../plan/saved-plan.js";
import { readTextFile } from "./input.js";
import type {
  AnswerValues,
  BudgetValues,
  ModelValues,
  PromptValues,
  ReportValues,
  SamplingValues,
} from "./options.js";

/** What the command line says about a model, as the library takes it. What is not said is left to the library. */
export function loadOptions(values: ModelValues & Pick<PromptValues, "template">): LoadOptions {
  const withoutDevices = values.device?.length === 0;
  return given<LoadOptions>({
    backend: values.backend,
    libraryDirectory: values.libDir,
    template: values.template,
    speculation: values.speculation,
    gpuLayers: withoutDevices ? 0 : values.nGpuLayers,
    devices: withoutDevices ? undefined : values.device,
    tensorSplit: values.tensorSplit,
    tensorOverrides: tensorOverrides(values),
    contextLength: values.ctxSize,
    sequences: values.parallel,
    microBatch: microBatch(values),
    kvLayout: values.kvUnified === undefined ? undefined : values.kvUnified ? "unified" : "separate",
    kvTypeK: values.cacheTypeK,
    kvTypeV: values.cacheTypeV,
    kvOffload: values.kvOffload,
    streamWeights: values.opOffload,
    hostMemory: values.host === false ? "repacked" : undefined,
    flashAttention: values.flashAttn,
    threads: atLeastOne(values.threads),
    threadsBatch: atLeastOne(values.threadsBatch),
    loadMode: loadMode(values),
    adapters: adapters(values),
    ropeFrequencyBase: values.ropeFreqBase,
    ropeFrequencyScale: values.ropeScale === undefined ? values.ropeFreqScale : 1 / values.ropeScale,
  });
}

const optionNames: Readonly<Record<string, string>> = {
  gpuLayers: "--n-gpu-layers",
  devices: "--device",
  tensorSplit: "--tensor-split",
  tensorOverrides: "--override-tensor",
  contextLength: "--ctx-size",
  sequences: "--parallel",
  microBatch: "--ubatch-size",
  kvLayout: "--kv-unified",
  kvTypeK: "--cache-type-k",
  kvTypeV: "--cache-type-v",
  kvOffload: "--no-kv-offload",
  streamWeights: "--op-offload",
  hostMemory: "--no-host",
  flashAttention: "--flash-attn",
  threads: "--threads",
  threadsBatch: "--threads-batch",
  loadMode: "--load-mode",
  adapters: "--lora",
  ropeFrequencyBase: "--rope-freq-base",
  ropeFrequencyScale: "--rope-freq-scale",
};

/** The option that says one of `loadOptions`. */
export function optionOf(setting: string): string {
  return optionNames[setting] ?? setting;
}

/** What it says about memory, as the library takes it. Reads the saved plan. Errors: `options-conflict`, `plan-file-…`. */
export async function budgetOptionsOf(values: BudgetValues): Promise<LoadOptions> {
  const { plan, vram, ram, for: objective, allowDisk, yield: yieldMemory } = values;
  const other = Object.entries({
    "--vram": vram,
    "--ram": ram,
    "--for": objective,
    "--allow-disk": allowDisk,
  }).find(([, value]) => value !== undefined);
  if (plan !== undefined && other)
    throw new JaugeError("options-conflict", { option: "--plan", other: other[0] });
  return given<LoadOptions>({
    vram,
    ram,
    objective,
    allowDisk,
    yieldMemory,
    savedPlan: plan === undefined ? undefined : await soundPlan(plan),
  });
}

async function soundPlan(path: string): Promise<ModelPlan> {
  const plan = await readSavedPlan(path);
  refuseContradiction(plan, path);
  return plan;
}

/** What the command line says about answers, as the library takes it. Reads the grammar or schema file. */
export async function generateOptions(
  values: AnswerValues & SamplingValues & ReportValues & Pick<PromptValues, "escape">,
): Promise<GenerateOptions> {
  refuseSecondForm(values);
  return given<GenerateOptions>({
    seed: values.seed,
    temperature: values.temp,
    dynamicTemperatureRange: values.dynatempRange,
    dynamicTemperatureExponent: values.dynatempExp,
    topK: values.topK === -1 ? 0 : values.topK,
    topP: values.topP,
    minP: values.minP,
    typicalP: values.typical,
    topNSigma: values.topNsigma,
    penaltyLastN: values.repeatLastN,
    repeatPenalty: values.repeatPenalty,
    frequencyPenalty: values.frequencyPenalty,
    presencePenalty: values.presencePenalty,
    dryMultiplier: values.dryMultiplier,
    dryBase: values.dryBase,
    dryAllowedLength: values.dryAllowedLength,
    dryPenaltyLastN: values.dryPenaltyLastN,
    drySequenceBreakers: sequenceBreakers(values),
    xtcProbability: values.xtcProbability,
    xtcThreshold: values.xtcThreshold,
    mirostat: values.mirostat,
    mirostatEta: values.mirostatLr,
    mirostatTau: values.mirostatEnt,
    logitBias: values.logitBias,
    ignoreEndOfGeneration: values.ignoreEos,
    grammar: values.grammarFile === undefined ? values.grammar : await readTextFile(values.grammarFile),
    jsonSchema: await jsonSchema(values),
    maxTokens: values.predict === undefined || values.predict < 0 ? undefined : values.predict,
    stop: values.reversePrompt?.map((text) => unescaped(text, values)),
    timeLimitMs: values.timeLimit === undefined ? undefined : values.timeLimit * 1000,
    special: values.special,
    logprobs: values.logprobs,
  });
}

/** Backslash sequences as llama.cpp reads them in prompts, stop strings and sequence breakers, unless --no-escape. */
export function unescaped(text: string, values: Pick<PromptValues, "escape">): string {
  if (values.escape === false) return text;
  const characters: Record<string, string> = { n: "\n", r: "\r", t: "\t", "'": "'", '"': '"', "\\": "\\" };
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|([nrt'"\\]))/g,
    (_, code: string | undefined, letter: string) =>
      code === undefined ? characters[letter]! : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** The entries that have a value: to the library, an absent one means its default. */
function given<T extends object>(options: { [Name in keyof T]: T[Name] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** llama.cpp's logical batch has no counterpart here; a smaller one bounds the micro-batch, as it does there. */
function microBatch(values: ModelValues): number | undefined {
  const { batchSize, ubatchSize } = values;
  if (batchSize === undefined) return ubatchSize;
  return Math.min(batchSize, ubatchSize ?? 512);
}

function atLeastOne(threads: number | undefined): number | undefined {
  return threads === undefined || threads < 1 ? undefined : threads;
}

/** The experts of mixture models, by llama.cpp's own pattern (common.h, LLM_FFN_EXPS_REGEX). */
const experts = "\\.ffn_(up|down|gate|gate_up)_(ch|)exps";

function tensorOverrides(values: ModelValues): TensorOverride[] | undefined {
  const overrides = [...(values.overrideTensor ?? [])];
  if (values.cpuMoe) overrides.push({ pattern: experts, placement: "host" });
  for (let layer = 0; layer < (values.nCpuMoe ?? 0); layer++) {
    overrides.push({ pattern: `blk\\.${layer}${experts}`, placement: "host" });
  }
  return overrides.length > 0 ? overrides : undefined;
}

function loadMode(values: ModelValues): Plan["loadMode"] | undefined {
  if (values.directIo) return "direct";
  if (values.mlock) return "mlock";
  if (values.mmap !== undefined) return values.mmap ? "mmap" : "read";
  const modes = { auto: "auto", none: "read", mmap: "mmap", mlock: "mlock", "mmap+mlock": "mlock" } as const;
  return values.loadMode === "dio" ? "direct" : values.loadMode && modes[values.loadMode];
}

function adapters(values: ModelValues): Plan["adapters"] | undefined {
  const plain = (values.lora ?? []).map((path) => ({ path, scale: 1 }));
  const all = [...plain, ...(values.loraScaled ?? [])];
  return all.length > 0 ? all : undefined;
}

/** Giving one replaces the default ones; `none` is none. */
function sequenceBreakers(values: SamplingValues & Pick<PromptValues, "escape">): string[] | undefined {
  const breakers = values.drySequenceBreaker;
  return breakers?.slice(breakers.lastIndexOf("none") + 1).map((text) => unescaped(text, values));
}

function refuseSecondForm(values: AnswerValues): void {
  const forms = {
    "--grammar": values.grammar,
    "--grammar-file": values.grammarFile,
    "--json-schema": values.jsonSchema,
    "--json-schema-file": values.jsonSchemaFile,
  };
  const [option, other] = Object.entries(forms).filter(([, value]) => value !== undefined);
  if (option && other) throw new JaugeError("options-conflict", { option: option[0], other: other[0] });
}

async function jsonSchema(values: AnswerValues): Promise<unknown> {
  const source = values.jsonSchemaFile ?? "--json-schema";
  const text = values.jsonSchemaFile ? await readTextFile(values.jsonSchemaFile) : values.jsonSchema;
  return text === undefined ? undefined : parseJson(source, text);
}
