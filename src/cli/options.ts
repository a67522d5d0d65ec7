import { limits } from "../plan/check.js";
import { objectives } from "../plan/model-plan.js";
import { kvTypes } from "../plan/plan.js";
import { list, type OptionSpec, toggle, type Values, value } from "./option-spec.js";
import {
  anyText,
  commaList,
  decimal,
  deviceList,
  integer,
  layerCount,
  logitBias,
  mirostat,
  oneOf,
  positive,
  quantisationMix,
  ramBudget,
  scaledAdapters,
  seed,
  shares,
  tensorPlacements,
  vramBudget,
  vramOrCards,
} from "./option-values.js";

// The names and meanings are llama.cpp's (common/arg.cpp, v0.5.0) wherever it has the option.

const most = 2 ** 31 - 1;
/** As the engine takes it. */
const mostContext = 2 ** 24;

/** Which model, where it goes and how it runs. */
export const modelOptions = {
  model: value("-m, --model <FILE>", anyText),
  ctxSize: value("-c, --ctx-size <N>", integer(0, mostContext)),
  nGpuLayers: value("--n-gpu-layers <N|all|auto>", layerCount, ["-ngl", "--gpu-layers"]),
  device: value("--device <NAME,...>", deviceList, ["-dev"]),
  tensorSplit: value("--tensor-split <N,...>", shares, ["-ts"]),
  overrideTensor: list("--override-tensor <PATTERN=DEVICE,...>", tensorPlacements, ["-ot"]),
  cpuMoe: toggle("--cpu-moe", ["-cmoe"]),
  nCpuMoe: value("--n-cpu-moe <N>", integer(0, 100_000), ["-ncmoe"]),
  threads: value("-t, --threads <N>", integer(-1, limits.threads[1])),
  threadsBatch: value("--threads-batch <N>", integer(-1, limits.threadsBatch[1]), ["-tb"]),
  batchSize: value("-b, --batch-size <N>", integer(1, most)),
  ubatchSize: value("--ubatch-size <N>", integer(...limits.microBatch), ["-ub"]),
  cacheTypeK: value("--cache-type-k <TYPE>", oneOf(kvTypes), ["-ctk"]),
  cacheTypeV: value("--cache-type-v <TYPE>", oneOf(kvTypes), ["-ctv"]),
  flashAttn: {
    ...value("--flash-attn <on|off|auto>", oneOf(["on", "off", "auto"]), ["-fa"]),
    bareOr: ["on", "off", "auto"],
  },
  parallel: value("--parallel <N>", integer(...limits.sequences), ["-np"]),
  kvUnified: toggle("--kv-unified", ["-kvu"], { flags: "--no-kv-unified", aliases: ["-no-kvu"] }),
  kvOffload: toggle("--kv-offload", ["-kvo"], { flags: "--no-kv-offload", aliases: ["-nkvo"] }),
  opOffload: toggle("--op-offload", [], { flags: "--no-op-offload", aliases: [] }),
  host: toggle("--no-host"),
  mmap: toggle("--mmap", [], { flags: "--no-mmap", aliases: [] }),
  mlock: toggle("--mlock"),
  directIo: toggle("--direct-io", ["-dio"], { flags: "--no-direct-io", aliases: ["-ndio"] }),
  loadMode: value("--load-mode <MODE>", oneOf(["auto", "none", "mmap", "mlock", "mmap+mlock", "dio"]), [
    "-lm",
  ]),
  lora: list("--lora <FILE,...>", commaList(anyText)),
  loraScaled: list("--lora-scaled <FILE:SCALE,...>", scaledAdapters),
  ropeFreqBase: value("--rope-freq-base <N>", positive),
  ropeFreqScale: value("--rope-freq-scale <N>", positive),
  ropeScale: value("--rope-scale <N>", positive),
  backend: value("--backend <NAME>", oneOf(["auto", "cpu", "vulkan", "cuda", "metal"])),
  libDir: value("--lib-dir <FOLDER>", anyText),
  speculation: toggle("--no-speculation"),
};

/** How much memory a load may take, and what it is for: of every command that loads a model. */
export const budgetOptions = {
  vram: value("--vram <SIZE|DEVICE=SIZE,...>", vramBudget),
  ram: value("--ram <SIZE>", ramBudget),
  for: value("--for <chat|batch|context>", oneOf(objectives)),
  allowDisk: toggle("--allow-disk"),
  plan: value("--plan <FILE>", anyText),
  yield: toggle("--yield"),
};

/** What `jauge plan` takes beside `modelOptions`. */
export const planOptions = {
  vram: value("--vram <SIZE|DEVICE=SIZE,...>", vramOrCards),
  ...pick(budgetOptions, "ram", "for", "allowDisk"),
  hardware: value("--hardware <NAME|FILE>", anyText),
  type: value("--type <MIX>", quantisationMix),
  whatIf: toggle("--what-if"),
  save: value("--save <FILE>", anyText),
};

/** What is asked, and in which form. */
export const promptOptions = {
  prompt: value("-p, --prompt <TEXT>", anyText),
  file: value("-f, --file <FILE>", anyText),
  systemPrompt: value("--system-prompt <TEXT>", anyText, ["-sys"]),
  systemPromptFile: value("--system-prompt-file <FILE>", anyText, ["-sysf"]),
  escape: toggle("-e, --escape", [], { flags: "--no-escape", aliases: [] }),
  conversation: toggle("--conversation", ["-cnv"], { flags: "--no-conversation", aliases: ["-no-cnv"] }),
  singleTurn: toggle("--single-turn", ["-st"]),
  template: value("--template <NAME|FILE>", anyText, ["--chat-template", "--chat-template-file"]),
};

/** When an answer ends, and what it must be. */
export const answerOptions = {
  predict: value("-n, --predict <N>", integer(-2, most), ["--n-predict"]),
  reversePrompt: list("-r, --reverse-prompt <TEXT>", oneText, ["--stop"]),
  timeLimit: value("--time-limit <SECONDS>", positive),
  ignoreEos: toggle("--ignore-eos"),
  special: toggle("--special", ["-sp"]),
  grammar: value("--grammar <GBNF>", anyText),
  grammarFile: value("--grammar-file <FILE>", anyText),
  jsonSchema: value("-j, --json-schema <SCHEMA>", anyText),
  jsonSchemaFile: value("--json-schema-file <FILE>", anyText, ["-jf"]),
};

/** How the next token is chosen. */
export const samplingOptions = {
  seed: value("-s, --seed <N>", seed),
  temp: value("--temp <N>", decimal(0), ["--temperature"]),
  dynatempRange: value("--dynatemp-range <N>", decimal(0)),
  dynatempExp: value("--dynatemp-exp <N>", decimal(0)),
  topK: value("--top-k <N>", integer(-1, most)),
  topP: value("--top-p <N>", decimal(0, 1)),
  minP: value("--min-p <N>", decimal(0, 1)),
  typical: value("--typical <N>", decimal(0, 1), ["--typical-p"]),
  topNsigma: value("--top-nsigma <N>", decimal(), ["--top-n-sigma"]),
  repeatLastN: value("--repeat-last-n <N>", integer(-1, most)),
  repeatPenalty: value("--repeat-penalty <N>", positive),
  frequencyPenalty: value("--frequency-penalty <N>", decimal()),
  presencePenalty: value("--presence-penalty <N>", decimal()),
  dryMultiplier: value("--dry-multiplier <N>", decimal(0)),
  dryBase: value("--dry-base <N>", decimal(1)),
  dryAllowedLength: value("--dry-allowed-length <N>", integer(0, most)),
  dryPenaltyLastN: value("--dry-penalty-last-n <N>", integer(-1, most)),
  drySequenceBreaker: list("--dry-sequence-breaker <TEXT>", oneText),
  xtcProbability: value("--xtc-probability <N>", decimal(0, 1)),
  xtcThreshold: value("--xtc-threshold <N>", decimal(0, 1)),
  mirostat: value("--mirostat <0|2>", mirostat),
  mirostatLr: value("--mirostat-lr <N>", decimal(0)),
  mirostatEnt: value("--mirostat-ent <N>", decimal(0)),
  logitBias: list("-l, --logit-bias <TOKEN+BIAS>", logitBias),
};

/** What is printed. */
export const outputOptions = {
  json: toggle("--json"),
  verbose: toggle("-v, --verbose", ["--log-verbose"]),
};

/** What `jauge run` prints beside the answer. */
export const reportOptions = {
  stats: toggle("--stats"),
  logprobs: value("--logprobs <N>", integer(0, 1000)),
};

export type ModelValues = Values<typeof modelOptions>;
export type BudgetValues = Values<typeof budgetOptions>;
export type PlanValues = Values<typeof planOptions>;
export type PromptValues = Values<typeof promptOptions>;
export type AnswerValues = Values<typeof answerOptions>;
export type SamplingValues = Values<typeof samplingOptions>;
export type OutputValues = Values<typeof outputOptions>;
export type ReportValues = Values<typeof reportOptions>;
/** All that `jauge run` takes. */
export type RunValues = BudgetValues &
  ModelValues &
  PromptValues &
  AnswerValues &
  SamplingValues &
  OutputValues &
  ReportValues;

/** The options of `table` named in `names`. */
export function pick<Table extends Record<string, OptionSpec<unknown>>, Name extends keyof Table>(
  table: Table,
  ...names: Name[]
): Pick<Table, Name> {
  return Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<Table, Name>;
}

/** One value of an option that can be given several times; commas in it are text. */
function oneText(text: string): string[] {
  return [text];
}
