import { Engine } from "../../../src/engine/engine.js";
import { simplePlan } from "../../../src/plan/plan.js";
import { compute, cpu } from "../../engine/harness.js";

/** The engine's logits at every position of `tokens`, with a KV cache that rounds nothing. */
export async function engineLogits(modelPath: string, tokens: readonly number[]): Promise<Float32Array[]> {
  const plan = simplePlan({
    modelPath,
    threads: 1,
    contextLength: 128,
    microBatch: 64,
    gpuLayers: 0,
    loadMode: "read",
    outputs: tokens.length,
    kvTypeK: "f32",
    kvTypeV: "f32",
    flashAttention: "off",
  });
  const engine = await Engine.open(plan, cpu);
  try {
    const result = await compute(engine, {
      tokens: Int32Array.from(tokens),
      outputs: tokens.length,
      mode: "replay",
      logits: true,
    });
    return result.logits![0]!;
  } finally {
    await engine.close();
  }
}
