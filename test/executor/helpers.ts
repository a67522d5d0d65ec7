import { expect } from "vitest";
import { Engine } from "../../src/engine/engine.js";
import type { Backend } from "../../src/engine/native/libraries.js";
import type { Run, Step, StepResult } from "../../src/engine/protocol.js";
import { greedy, type SamplingSettings } from "../../src/engine/sampling.js";
import { Executor, type ExecutorOptions } from "../../src/executor/executor.js";
import type { Generation, GenerationRequest, GenerationResult } from "../../src/executor/request.js";
import { type Plan, simplePlan } from "../../src/plan/plan.js";
import { logitsOf, storiesPath } from "../oracles/plain.js";

// The Vulkan build computes on llvmpipe, Mesa's device on the CPU, where it is told to.
process.env.GGML_VK_VISIBLE_DEVICES ??= "0";

/** An engine on the embedded model, and an executor over it; both end with the scope. */
export interface Served extends AsyncDisposable {
  engine: Engine;
  executor: Executor;
}

export async function serve(
  wishes: Partial<Plan> = {},
  options: ExecutorOptions & { backend?: Backend } = {},
): Promise<Served> {
  const { backend = "cpu", ...executorOptions } = options;
  const plan = simplePlan({
    modelPath: storiesPath,
    threads: 1,
    contextLength: 512,
    sequences: 8,
    ...wishes,
  });
  const engine = await Engine.open(plan, { libraries: { backend } });
  const executor = new Executor(engine, executorOptions);
  return {
    engine,
    executor,
    async [Symbol.asyncDispose]() {
      await executor.close();
      await engine.close();
    },
  };
}

/** A step as the executor asked for it, with what came back once it has. */
export interface ObservedStep extends Step {
  result?: StepResult;
}

/** Records the steps of an engine. `onStep` runs when a step is under way. */
export function observe(engine: Engine, onStep?: (index: number) => void): ObservedStep[] {
  const steps: ObservedStep[] = [];
  const original = engine.step.bind(engine);
  engine.step = async (step) => {
    const observed: ObservedStep = step;
    steps.push(observed);
    const answer = original(step);
    onStep?.(steps.length - 1);
    observed.result = await answer;
    return observed.result;
  };
  return steps;
}

/** Kills the host as the system would. */
export function killHost(engine: Engine): void {
  process.kill(engine.processId!, "SIGKILL");
}

export async function submitText(
  { engine, executor }: Served,
  text: string,
  request: Partial<Omit<GenerationRequest, "tokens">> = {},
): Promise<Generation> {
  const tokens = await engine.tokenize(text);
  return executor.submit({ tokens, sampling: greedy, ...request });
}

/** Submits all texts in one turn of the event loop and awaits their results. */
export async function completeAll(
  served: Served,
  texts: readonly string[],
  request: Partial<Omit<GenerationRequest, "tokens">> = {},
): Promise<GenerationResult[]> {
  const { engine, executor } = served;
  const prompts = await Promise.all(texts.map((text) => engine.tokenize(text)));
  const generations = prompts.map((tokens) => executor.submit({ tokens, sampling: greedy, ...request }));
  return Promise.all(generations.map(({ result }) => result));
}

/** The pieces of a generation, joined as they came. */
export async function streamed(generation: Generation): Promise<string> {
  let text = "";
  for await (const piece of generation) text += piece;
  return text;
}

/** A run that computes prompt tokens: more than the one that a decode takes, with none or one output. */
export function isPrefill({ tokens, outputs }: Run): boolean {
  return tokens.length > 1 && outputs <= 1;
}

export function sampling(settings: Partial<SamplingSettings>): SamplingSettings {
  return { ...greedy, ...settings };
}

/**
 * Micro-batches of different sizes use different kernels, whose sums round differently, and the KV cache rounds
 * to f16. The logits of this model are spread over 33; those of the fixed set of prompts, computed in
 * micro-batches of all of them, differ from libllama's own by up to 0.013. Where the two best tokens are closer
 * than this, either is right.
 */
export const logitTolerance = 0.05;

/** Holds greedy tokens to the oracle's: the same, or parted where the oracle's logits are as good as tied. */
export async function expectGreedy(
  prompts: readonly Int32Array[],
  actual: readonly number[][],
  expected: readonly number[][],
): Promise<void> {
  const parted = actual.flatMap((tokens, index) => {
    const place = tokens.findIndex((token, position) => token !== expected[index]![position]);
    return place < 0 ? [] : [{ index, place }];
  });
  actual.forEach((tokens, index) => {
    if (!parted.some((other) => other.index === index)) expect(tokens).toEqual(expected[index]);
  });
  if (parted.length === 0) return;
  const logits = await logitsOf(
    parted.map(({ index, place }) => [...prompts[index]!, ...expected[index]!.slice(0, place)]),
  );
  parted.forEach(({ index, place }, which) => {
    const row = logits[which]!;
    const gap = row[expected[index]![place]!]! - row[actual[index]![place]!]!;
    expect(gap, `prompt ${index}, token ${place}`).toBeLessThan(logitTolerance);
  });
}
