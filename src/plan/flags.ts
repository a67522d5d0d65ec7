import type { Plan, TensorOverride } from "./plan.js";

export interface FlagOptions {
  /** The machine's devices by ggml's name, in its order. */
  devices: readonly string[];
  /** The model has layers with a sliding window: their cache has full size here, which llama.cpp does not do unasked. */
  slidingWindow?: boolean;
}

/**
 * A plan as options of llama.cpp's tools (common/arg.cpp, v0.5.0), quoted for a POSIX shell. Said is what differs from
 * their defaults, and what they would else choose by themselves: layers, context, sequences and threads. The model's file
 * is not among them.
 */
export function llamaCppFlags(plan: Plan, options: FlagOptions): string {
  return [
    ...deviceFlags(plan, options.devices),
    ...contextFlags(plan, options.slidingWindow ?? false),
    ...computeFlags(plan),
    ...loadFlags(plan),
    ...adapterFlags(plan),
  ]
    .map(quoted)
    .join(" ");
}

function deviceFlags(plan: Plan, devices: readonly string[]): string[] {
  if (devices.length === 0) return [];
  if (plan.devices?.length === 0) return ["--device", "none"];
  const chosen = plan.devices && plan.devices.join() !== devices.join() ? plan.devices : undefined;
  const used = plan.devices ?? devices;
  return [
    ...(chosen ? ["--device", chosen.join(",")] : []),
    // -1 is all of them in a plan, and "choose for me" in llama.cpp.
    ...["-ngl", plan.gpuLayers < 0 ? "all" : `${plan.gpuLayers}`],
    ...(plan.tensorSplit && used.length > 1 ? ["-ts", plan.tensorSplit.join(",")] : []),
    ...overrideFlags(plan.tensorOverrides),
    ...(plan.kvOffload ? [] : ["-nkvo"]),
    ...(plan.streamWeights === false ? ["--no-op-offload"] : []),
    ...(plan.hostMemory === "repacked" ? ["--no-host"] : []),
    // It adjusts what is not said; all of it is.
    ...["-fit", "off"],
  ];
}

/** In the plan's order: the first match wins in llama.cpp, too. */
function overrideFlags(overrides: readonly TensorOverride[]): string[] {
  const items = overrides.flatMap(({ pattern, placement }) =>
    withoutSeparators(pattern).map((text) => `${text}=${placement === "host" ? "CPU" : placement}`),
  );
  return items.length > 0 ? ["-ot", items.join(",")] : [];
}

/** Longest name of a tensor in GGUF, in bytes (GGML_MAX_NAME). */
const longestName = 64;

/**
 * The same pattern without the comma and the equals sign, at which llama.cpp splits its argument: as hexadecimal
 * escapes, and for a quantifier `{2,3}` one pattern for each number of times.
 */
function withoutSeparators(pattern: string): string[] {
  const quantifier = /\{(\d+),(\d*)\}/.exec(pattern);
  if (!quantifier) return [pattern.replaceAll(",", "\\x2c").replaceAll("=", "\\x3d")];
  const [whole, least, most] = quantifier;
  const before = pattern.slice(0, quantifier.index);
  const after = pattern.slice(quantifier.index + whole.length);
  const times: string[] = [];
  if (most === "" && Number(least) < 2) times.push(least === "0" ? "*" : "+");
  else {
    const last = Math.min(most === "" ? longestName : Number(most), longestName);
    for (let count = Number(least); count <= last; count++) times.push(`{${count}}`);
  }
  return times.flatMap((text) => withoutSeparators(`${before}${text}${after}`));
}

function contextFlags(plan: Plan, slidingWindow: boolean): string[] {
  const cells = plan.sequences * plan.contextLength;
  const unified = plan.kvLayout === "unified";
  return [
    // llama.cpp's context is that of all sequences together.
    ...["-c", `${unified ? (plan.kvCells ?? cells) : cells}`],
    ...["-np", `${plan.sequences}`],
    ...(unified ? ["-kvu"] : []),
    ...(plan.kvTypeK === "f16" ? [] : ["-ctk", plan.kvTypeK]),
    ...(plan.kvTypeV === "f16" ? [] : ["-ctv", plan.kvTypeV]),
    ...(plan.flashAttention === "auto" ? [] : ["-fa", plan.flashAttention]),
    ...(slidingWindow ? ["--swa-full"] : []),
    ...ropeFlags(plan),
    ...(plan.embeddings ? ["--embeddings", ...poolingFlags(plan.embeddings.pooling)] : []),
  ];
}

function ropeFlags({ ropeFrequencyBase, ropeFrequencyScale }: Plan): string[] {
  return [
    ...(ropeFrequencyBase === undefined ? [] : ["--rope-freq-base", `${ropeFrequencyBase}`]),
    ...(ropeFrequencyScale === undefined ? [] : ["--rope-freq-scale", `${ropeFrequencyScale}`]),
  ];
}

function poolingFlags(pooling: string): string[] {
  return pooling === "model" ? [] : ["--pooling", pooling];
}

/** What llama.cpp computes at once, and what it takes at once and computes in parts, where nothing is said. */
const defaultMicroBatch = 512;
const defaultBatch = 2048;

function computeFlags({ microBatch, threads, threadsBatch }: Plan): string[] {
  return [
    // A micro-batch is never larger than a batch.
    ...(microBatch > defaultBatch ? ["-b", `${microBatch}`] : []),
    ...(microBatch === defaultMicroBatch ? [] : ["-ub", `${microBatch}`]),
    ...["-t", `${threads}`],
    ...(threadsBatch === threads ? [] : ["-tb", `${threadsBatch}`]),
  ];
}

const loadModes = { mmap: "mmap", mlock: "mmap+mlock", direct: "dio", read: "none" } as const;

function loadFlags({ loadMode, hostMemory }: Plan): string[] {
  return [
    ...(loadMode === "auto" ? [] : ["-lm", loadModes[loadMode]]),
    ...(hostMemory === "mapped" ? ["--no-repack"] : []),
  ];
}

/** In the order in which they are added, so all with a scale where one has it. */
function adapterFlags({ adapters }: Plan): string[] {
  const isScaled = adapters.some(({ scale }) => scale !== 1);
  return adapters.flatMap(({ path, scale }) =>
    isScaled ? ["--lora-scaled", csv(`${path}:${scale}`)] : ["--lora", csv(path)],
  );
}

/** One value in llama.cpp's lists (`parse_csv_row`). */
function csv(text: string): string {
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
