import type { ModelOutline } from "../../src/gguf/outline.js";
import { type TensorTypeName, tensorBytes } from "../../src/gguf/tensor-types.js";
import type { ComputeSpeed, DeviceFacts, HardwareFacts, MatrixSpeed } from "../../src/hardware/facts.js";
import type { Machine } from "../../src/plan/fit.js";
import type { ModelSource } from "../../src/plan/source.js";

/** A model of a few plain hyperparameters, for the planner alone: there is no file of it. */
export interface Shape {
  layers: number;
  hidden: number;
  feedForward: number;
  kvHeads: number;
  heads: number;
  vocabulary: number;
  experts?: number;
  expertsUsed?: number;
  tied?: boolean;
  /** State-space layers instead of attention and feed-forward. */
  recurrent?: boolean;
}

/** Of a few layers with heads that share a KV cache. */
export const small: Shape = {
  ...{ layers: 12, hidden: 512, feedForward: 1536, heads: 8, kvHeads: 2, vocabulary: 8192 },
};

export function sourceOfShape(shape: Shape): ModelSource {
  const { layers, hidden, feedForward, heads, kvHeads, vocabulary, experts = 0, expertsUsed = 0 } = shape;
  const kv = (hidden / heads) * kvHeads;
  const list: [string, TensorTypeName, number[]][] = [["token_embd.weight", "Q4_K", [hidden, vocabulary]]];
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, type: TensorTypeName, ...lengths: number[]) =>
      list.push([`blk.${layer}.${name}.weight`, type, lengths]);
    add("attn_norm", "F32", hidden);
    if (shape.recurrent) {
      add("ssm_in", "Q8_0", hidden, 4 * hidden);
      add("ssm_conv1d", "F32", 4, 2 * hidden);
      add("ssm_x", "Q8_0", 2 * hidden, hidden / 16 + 32);
      add("ssm_dt", "F32", hidden / 16, 2 * hidden);
      add("ssm_out", "Q8_0", 2 * hidden, hidden);
      continue;
    }
    add("attn_q", "Q4_K", hidden, hidden);
    add("attn_k", "Q4_K", hidden, kv);
    add("attn_v", "Q6_K", hidden, kv);
    add("attn_output", "Q4_K", hidden, hidden);
    add("ffn_norm", "F32", hidden);
    if (experts > 0) {
      add("ffn_gate_inp", "F32", hidden, experts);
      add("ffn_gate_exps", "Q4_K", hidden, feedForward, experts);
      add("ffn_up_exps", "Q4_K", hidden, feedForward, experts);
      add("ffn_down_exps", "Q6_K", feedForward, hidden, experts);
    } else {
      add("ffn_gate", "Q4_K", hidden, feedForward);
      add("ffn_up", "Q4_K", hidden, feedForward);
      add("ffn_down", "Q6_K", feedForward, hidden);
    }
  }
  list.push(["output_norm.weight", "F32", [hidden]]);
  if (!shape.tied) list.push(["output.weight", "Q6_K", [hidden, vocabulary]]);
  let end = 0;
  const tensors = list.map(([name, type, lengths]) => {
    const bytes = tensorBytes(type, lengths)!;
    const fileOffset = end;
    end += bytes;
    return { name, type, shape: lengths, bytes, shard: 0, fileOffset };
  });
  const outline: ModelOutline = {
    architecture: "llama",
    parameters: 1,
    contextLength: 8192,
    hiddenSize: hidden,
    layers,
    heads: new Array<number>(layers).fill(heads),
    kvHeads: new Array<number>(layers).fill(shape.recurrent ? 0 : kvHeads),
    headSizeK: hidden / heads,
    headSizeV: hidden / heads,
    feedForwardSize: new Array<number>(layers).fill(feedForward),
    ...(experts > 0 && { experts, expertsUsed, expertFeedForwardSize: feedForward }),
    vocabularySize: vocabulary,
    chatTemplates: {},
    bytes: {
      total: end,
      embedding: 0,
      output: 0,
      layers: [],
      experts: tensors.filter(({ name }) => name.includes("_exps")).map(({ bytes }) => bytes),
      other: 0,
      types: {},
    },
  };
  return {
    source: "made up",
    outline,
    tensors,
    fingerprint: "0".repeat(64),
    writeGhost: () => Promise.reject(new Error("there is no file")),
  };
}

/** A processor `factor` times as fast as a plain one. */
export function speedOf(factor: number): ComputeSpeed {
  const matrix = (share: number): MatrixSpeed => ({
    rows: [1, 8, 32, 512],
    bytesPerSecond: [10e9, 8e9, 3e9, 0.25e9].map((speed) => speed * share * factor),
  });
  const table = { Q4_K: matrix(1), Q6_K: matrix(1), F16: matrix(2), F32: matrix(2), Q8_0: matrix(1.5) };
  return {
    memoryBytesPerSecond: 20e9 * factor,
    nodeSeconds: 2e-6,
    matrix: table,
    experts: table,
    attention: { oneRowPerSecond: 5e9 * factor, batchPerSecond: 20e9 * factor },
  };
}

export function deviceOf(name: string, factor: number, totalBytes: number): DeviceFacts {
  const copy = { pageableBytesPerSecond: 6e9, pinnedBytesPerSecond: 12e9 };
  return {
    ...{ name, description: name, kind: "gpu", totalBytes, freeBytes: totalBytes, runtimeBytes: 1_000_000 },
    ...{ unified: false, alignmentBytes: 128, speed: speedOf(factor) },
    link: { toDevice: copy, toHost: copy, crossingSeconds: 20e-6 },
  };
}

export function machineFacts(devices: DeviceFacts[]): HardwareFacts {
  return {
    name: "made up",
    origin: "measured",
    host: {
      description: "a processor",
      totalBytes: 64e9,
      availableBytes: 60e9,
      runtimeBytes: 100_000_000,
      threads: 4,
      speed: { ...speedOf(1), repacked: speedOf(1.5).matrix },
    },
    devices,
  };
}

/**
 * A machine whose dry runs say what the formulas say, and compute buffers that grow with the micro-batch and are larger
 * where a graph is spread over places: in both respects as llama.cpp's.
 */
export function machineOf(
  facts: HardwareFacts,
  budgets: { host: number; devices: number[] },
  fixed: Partial<Machine["fixed"]> = {},
): Machine {
  return {
    facts,
    budgets,
    usable: facts.devices.map((_, index) => index),
    measure: async (plan, modelled) => {
      const spread = modelled.filter(({ weights }) => weights > 0).length;
      return modelled.flatMap(({ weights, kv, device }) => {
        const isUsed = weights + kv > 0;
        const computeBytes = isUsed ? plan.microBatch * (8000 + 1000 * spread) + 4096 : 0;
        return isUsed ? [{ device, weightsBytes: weights, kvBytes: kv, computeBytes }] : [];
      });
    },
    fixed: { pinned: new Map(), modes: ["streamed", "repacked", "pinned"], ...fixed },
  };
}
