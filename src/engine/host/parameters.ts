import { JaugeError } from "../../errors.js";
import { mostOutputs, type Plan, sharedCells } from "../../plan/plan.js";
import { NativeArray, nativeString, nativeWords, type Pointer } from "../native/ffi.js";
import { ggmlTypes } from "../native/ggml.js";
import type { Native } from "../native/open.js";
import type { ContextParams, ModelParams } from "../native/structures.js";
import type { Pooling } from "../protocol.js";
import { deviceNamed, offloadDevices } from "./devices.js";

const loadModes = { auto: -1, read: 0, mmap: 1, mlock: 3, direct: 4 } as const;
const flashAttention = { auto: -1, off: 0, on: 1 } as const;
export const poolingTypes = {
  model: -1,
  none: 0,
  mean: 1,
  cls: 2,
  last: 3,
  rank: 4,
} as const satisfies Record<Pooling, number>;

/** A plan as `llama_model_params`. What the struct points to lives until the process ends. */
export function modelParams(native: Native, plan: Plan, dry: boolean): ModelParams {
  return {
    ...native.llama.llama_model_default_params(),
    devices: devices(native, plan),
    tensor_buft_overrides: tensorOverrides(native, plan),
    n_gpu_layers: plan.gpuLayers,
    load_mode: dry ? loadModes.read : loadModes[plan.loadMode],
    tensor_split: tensorSplit(native, plan),
    // A dry run maps nothing, and llama.cpp takes pages of the file only where no device's host memory is asked for.
    no_host: plan.hostMemory === "repacked" || plan.hostMemory === "mapped",
    use_extra_bufts: plan.hostMemory !== "mapped",
    no_alloc: dry,
  };
}

/** A plan as `llama_context_params`. */
export function contextParams(native: Native, plan: Plan): ContextParams {
  const perSequence = plan.contextLength;
  const unified = plan.kvLayout === "unified";
  return {
    ...native.llama.llama_context_default_params(),
    n_ctx: unified ? sharedCells(plan) : perSequence * plan.sequences,
    n_batch: plan.microBatch,
    n_ubatch: plan.microBatch,
    n_seq_max: plan.sequences,
    n_outputs_max: mostOutputs(plan),
    n_outputs_max_per_seq: 0,
    n_threads: plan.threads,
    n_threads_batch: plan.threadsBatch,
    pooling_type: plan.embeddings ? poolingTypes[plan.embeddings.pooling] : poolingTypes.none,
    flash_attn_type: flashAttention[plan.flashAttention],
    rope_freq_base: plan.ropeFrequencyBase ?? 0,
    rope_freq_scale: plan.ropeFrequencyScale ?? 0,
    type_k: ggmlTypes[plan.kvTypeK],
    type_v: ggmlTypes[plan.kvTypeV],
    embeddings: plan.embeddings !== undefined,
    offload_kqv: plan.kvOffload,
    // A full-size cache for sliding-window layers: a shared prefix must keep all its positions.
    swa_full: true,
    kv_unified: unified,
    op_offload: plan.streamWeights ?? true,
  };
}

function devices(native: Native, plan: Plan): Pointer | null {
  if (!plan.devices) return null;
  const found = plan.devices.map((name) => deviceNamed(native, name));
  return nativeWords([...found, 0n]);
}

function tensorSplit(native: Native, plan: Plan): Pointer | null {
  if (!plan.tensorSplit) return null;
  const count = plan.devices?.length ?? offloadDevices(native).length;
  if (plan.tensorSplit.length > count) {
    throw new JaugeError("plan-invalid", {
      field: "tensorSplit",
      problem: `${plan.tensorSplit.length} shares for ${count} devices`,
    });
  }
  const length = native.llama.llama_max_devices();
  const shares = new NativeArray(Float32Array, length);
  shares.view.set(plan.tensorSplit);
  return shares.address;
}

function tensorOverrides(native: Native, plan: Plan): Pointer | null {
  if (plan.tensorOverrides.length === 0) return null;
  const limit = native.llama.llama_max_tensor_buft_overrides();
  if (plan.tensorOverrides.length >= limit) {
    throw new JaugeError("plan-invalid", { field: "tensorOverrides", problem: `at most ${limit - 1}` });
  }
  const words = plan.tensorOverrides.flatMap(({ pattern, placement }) => {
    const device = deviceNamed(native, placement === "host" ? "CPU" : placement);
    return [nativeString(pattern), native.ggml.deviceBufferType(device)];
  });
  // Pairs of `llama_model_tensor_buft_override { pattern, buft }`, ended by a null pattern.
  return nativeWords([...words, 0n, 0n]);
}
