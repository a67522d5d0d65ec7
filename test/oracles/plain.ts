import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Backend, findLibraries } from "../../src/engine/native/libraries.js";

/** The embedded model: a Llama of 260,000 parameters. */
export const storiesPath = fileURLToPath(new URL("../../models/stories260K.gguf", import.meta.url));

/**
 * Compute threads of the oracle. One: with a model this small, more wait for each other longer than they compute,
 * above all beside an engine that has its own.
 */
const threads = 1;

export interface PlainSettings {
  modelPath?: string;
  /** `vulkan` runs on the device that GGML_VK_VISIBLE_DEVICES=0 names. */
  backend?: Backend;
  /** All on a GPU backend, none on the CPU, where absent. */
  gpuLayers?: number;
  adapters?: { path: string; scale: number }[];
  /** Fields of `llama_context_params` that differ from the library's defaults. */
  context?: Record<string, number | boolean>;
}

/** A text, tokenised with special tokens, or tokens as they are. */
export type Prompt = string | ArrayLike<number>;

/**
 * The `count` tokens that plain greedy decoding adds to each prompt: libllama in a process of its own, one sequence,
 * its own defaults. It does not stop at an end-of-generation token: cut there where the other side stops.
 */
export function greedyTokens(
  prompts: readonly Prompt[],
  count: number,
  settings: PlainSettings = {},
): Promise<number[][]> {
  return inPlainProcess({ kind: "greedy", prompts, count }, settings);
}

/** The logits that follow each prompt's last token. */
export function logitsOf(prompts: readonly Prompt[], settings: PlainSettings = {}): Promise<Float32Array[]> {
  return inPlainProcess({ kind: "logits", prompts }, settings);
}

/** The tokens of each text, with special tokens added and parsed. */
export function tokensOf(texts: readonly string[], settings: PlainSettings = {}): Promise<Int32Array[]> {
  return inPlainProcess({ kind: "tokenize", prompts: texts }, settings);
}

/** Each prompt's embedding: pooled over it, or (`none`) that of its last token. */
export function embeddingsOf(
  prompts: readonly Prompt[],
  pooling: "none" | "mean" | "cls" | "last",
  settings: PlainSettings = {},
): Promise<Float32Array[]> {
  const pooling_type = { none: 0, mean: 1, cls: 2, last: 3 }[pooling];
  return inPlainProcess(
    { kind: "embeddings", prompts, pooled: pooling !== "none" },
    { ...settings, context: { ...settings.context, embeddings: true, pooling_type } },
  );
}

/** A native sampler: the end of its `llama_sampler_init_…` and its arguments, without vocabulary and counts. */
export type ChainLink = [name: string, ...settings: unknown[]];

/** What a native chain chooses over each row of logits in turn, having seen `history` and its own choices. */
export function nativeChoices(asks: {
  chain: ChainLink[];
  grammar?: string;
  history: ArrayLike<number>;
  logits: Float32Array[];
}): Promise<number[]> {
  return inPlainProcess({ kind: "sample", ...asks, history: Array.from(asks.history) }, {});
}

/** Forks a process for one job; its whole life is that job. */
function inPlainProcess<Result>(job: Record<string, unknown>, settings: PlainSettings): Promise<Result> {
  const { modelPath = storiesPath, backend = "cpu", ...rest } = settings;
  const child = fork(fileURLToPath(new URL("plain-child.mjs", import.meta.url)), [], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, ...(backend === "vulkan" ? { GGML_VK_VISIBLE_DEVICES: "0" } : {}) },
    execArgv: [],
  });
  let log = "";
  child.stderr?.on("data", (text: Buffer) => {
    log = (log + text).slice(-8192);
  });
  child.send({
    libraries: findLibraries({ backend }),
    modelPath,
    gpuLayers: backend === "cpu" ? 0 : -1,
    threads,
    ...rest,
    ...job,
  });
  return new Promise((resolve, reject) => {
    child.once("message", (answer) => resolve(answer as Result));
    child.once("error", reject);
    child.once("close", (code, signal) => reject(new Error(`the oracle ended (${signal ?? code})\n${log}`)));
  });
}
