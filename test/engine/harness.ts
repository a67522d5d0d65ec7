import { readFileSync } from "node:fs";
import { afterAll } from "vitest";
import { Engine, type EngineOptions } from "../../src/engine/engine.js";
import type { Run, Step } from "../../src/engine/protocol.js";
import type { SamplingSettings } from "../../src/engine/sampling.js";
import { type Plan, simplePlan } from "../../src/plan/plan.js";
import { storiesPath } from "../oracles/plain.js";

// Mesa's llvmpipe: the Vulkan device that every Linux machine has.
process.env.GGML_VK_VISIBLE_DEVICES = "0";
export const vulkan: EngineOptions = { libraries: { backend: "vulkan" } };
export const cpu: EngineOptions = { libraries: { backend: "cpu" } };

/** Vulkan devices that need no GPU are Mesa's, on Linux. */
export const hasVulkan = process.platform === "linux" && process.arch === "x64";

/** Whether ggml multiplies by AMX here: weights are packed into larger tiles, and activations rounded in other blocks. */
export const hasAmx =
  process.platform === "linux" && readFileSync("/proc/cpuinfo", "utf8").includes("amx_int8");

const engines: Engine[] = [];
afterAll(() => Promise.all(engines.map((engine) => engine.close())));

/** A plan for the embedded model. */
export function storiesPlan(settings: Partial<Plan> = {}): Plan {
  return simplePlan({
    modelPath: storiesPath,
    threads: 1,
    contextLength: 512,
    microBatch: 256,
    loadMode: "read",
    ...settings,
  });
}

/** An engine with the embedded model, closed after the tests of the file. */
export async function openStories(
  settings: Partial<Plan> = {},
  options: EngineOptions = cpu,
): Promise<Engine> {
  const engine = await Engine.open(storiesPlan(settings), { ...cpu, ...options });
  engines.push(engine);
  return engine;
}

export const emptyStep: Step = { memory: [], freeSamplers: [], runs: [] };

/** Empties the KV cache. */
export async function clear(engine: Engine): Promise<void> {
  await engine.step({ ...emptyStep, memory: [{ kind: "clear" }] });
}

/** Computes one run alone. */
export function compute(engine: Engine, run: Partial<Run> & Pick<Run, "tokens">) {
  const whole: Run = { sequence: 0, position: 0, outputs: 1, mode: "verify", ...run };
  return engine.step({ ...emptyStep, runs: [whole] });
}

export interface Continuation {
  tokens: number[];
  /** The logits that each token was chosen from. */
  logits: Float32Array[];
}

/** Computes `tokens` at `position` in chunks, then goes on for `count` tokens, one at a time. */
export async function continueWith(
  engine: Engine,
  tokens: Int32Array,
  count: number,
  settings: { sequence?: number; position?: number; sampler?: number; chunk?: number } = {},
): Promise<Continuation> {
  const { sequence = 0, sampler, chunk = 256 } = settings;
  const run = { sequence, logits: true, ...(sampler === undefined ? {} : { sampler }) };
  let position = settings.position ?? 0;
  let rest = tokens;
  for (; rest.length > chunk; rest = rest.subarray(chunk), position += chunk) {
    await compute(engine, { ...run, position, tokens: rest.slice(0, chunk), outputs: 0 });
  }
  const continuation: Continuation = { tokens: [], logits: [] };
  let next = rest.slice();
  while (continuation.tokens.length < count) {
    const result = await compute(engine, { ...run, position, tokens: next });
    position += next.length;
    next = result.chosen[0]!.slice();
    continuation.tokens.push(next[0]!);
    continuation.logits.push(result.logits![0]![0]!);
  }
  return continuation;
}

let lastSampler = 0;
/** Makes a sampler under a fresh id. */
export async function sampler(
  engine: Engine,
  settings: SamplingSettings,
  history: Int32Array = new Int32Array(0),
): Promise<number> {
  const id = ++lastSampler;
  await engine.createSampler(id, settings, history);
  return id;
}

/** The greatest difference between two rows of logits. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let greatest = 0;
  for (let index = 0; index < a.length; index++) {
    greatest = Math.max(greatest, Math.abs(a[index]! - b[index]!));
    if (Number.isNaN(a[index]) || Number.isNaN(b[index])) return Number.NaN;
  }
  return greatest;
}

/** The code and facts of the error that a promise ends with. */
export async function failure(
  promise: Promise<unknown>,
): Promise<{ code?: string; facts?: unknown; message: string }> {
  try {
    await promise;
  } catch (error) {
    const { code, facts, message } = error as { code?: string; facts?: unknown; message: string };
    return { message, ...(code === undefined ? {} : { code, facts }) };
  }
  return { message: "it succeeded" };
}

/**
 * How far logits may lie apart where kernels sum in another order: micro-batches of other shapes, other devices.
 * The logits of this model span −15 to 20, and its f16 KV cache rounds in the fourth digit. Measured: 0.013, 0.021.
 */
export const cpuTolerance = 0.02;
export const vulkanTolerance = 0.05;

/**
 * Continues all prompts at once, each by `count` tokens: chunks of several prompts and single tokens share every
 * micro-batch of 64 tokens.
 */
export async function runTogether(
  engine: Engine,
  prompts: readonly Int32Array[],
  count: number,
): Promise<{ chosen: number[]; logits: Float32Array }[]> {
  const sequences = prompts.map((prompt, sequence) => ({
    sequence,
    position: 0,
    rest: prompt,
    chosen: [] as number[],
    logits: new Float32Array(0) as Float32Array,
  }));
  for (;;) {
    let room = 64;
    const runs: Run[] = [];
    const taking: typeof sequences = [];
    for (const state of sequences) {
      const size = Math.min(room, state.rest.length, 24);
      if (state.chosen.length === count || size === 0) continue;
      room -= size;
      taking.push(state);
      runs.push({
        sequence: state.sequence,
        position: state.position,
        tokens: state.rest.slice(0, size),
        outputs: size === state.rest.length ? 1 : 0,
        mode: "verify",
        logits: state.chosen.length === 0,
      });
    }
    if (runs.length === 0) return sequences;
    const result = await engine.step({ ...emptyStep, runs });
    if (result.status !== "ok") throw new Error(result.status);
    taking.forEach((state, index) => {
      const run = runs[index]!;
      state.position += run.tokens.length;
      state.rest = run.outputs > 0 ? result.chosen[index]!.slice() : state.rest.slice(run.tokens.length);
      state.chosen.push(...result.chosen[index]!);
      state.logits = result.logits?.[index]?.[0] ?? state.logits;
    });
  }
}
