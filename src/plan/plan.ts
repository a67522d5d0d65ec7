/**
 * Where a model's parts live and how it runs: plain data, decided before anything is loaded.
 * JSON in, JSON out; the engine carries it out to the letter or fails with a typed error.
 */
export interface Plan {
  /** The GGUF file; the first one of a split model. */
  modelPath: string;
  /** Layers placed on the devices, counted from the last; the output layer counts as one. Infinity-like: -1 is all. */
  gpuLayers: number;
  /** Devices to use, by name as `jauge` prints them (`Vulkan0`); all that the libraries offer where absent. */
  devices?: string[];
  /** Share of the layers for each device, in the order of `devices`; by free memory where absent. */
  tensorSplit?: number[];
  /** Tensors placed by name pattern, first match wins. Patterns are regular expressions over tensor names. */
  tensorOverrides: TensorOverride[];
  /** Tokens that one sequence may hold. */
  contextLength: number;
  /** Sequences that run at once: 1 to 256. */
  sequences: number;
  /** Tokens computed at once (`n_ubatch`). */
  microBatch: number;
  /**
   * `separate`: one KV stream per sequence, `sequences × contextLength` cells.
   * `unified`: one cache that all sequences share, `kvCells` cells.
   */
  kvLayout: "separate" | "unified";
  /** Cells of a unified cache; `sequences × contextLength` where absent. */
  kvCells?: number;
  kvTypeK: KvType;
  kvTypeV: KvType;
  /** KV cache and attention on the devices that hold the layers. */
  kvOffload: boolean;
  flashAttention: "auto" | "on" | "off";
  /** Threads for one token at a time, and for micro-batches. */
  threads: number;
  threadsBatch: number;
  /** `mmap` shares pages with the file; `direct` reads around the page cache; `read` copies. */
  loadMode: "auto" | "mmap" | "mlock" | "direct" | "read";
  /**
   * Where weights on the host lie when there are devices too. `pinned` is memory that a device reads fast, so that
   * large batches can be computed there with streamed weights; `repacked` is laid out for the CPU's own matrix
   * kernels, and `mapped` what the file has, so that it can be read again. The library's default where absent: `pinned`, and
   * without a device `repacked`.
   */
  hostMemory?: "pinned" | "repacked" | "mapped";
  /** Let a device compute large batches (`streamFromRows` tokens or more) with weights streamed from the host; yes where absent. */
  streamWeights?: boolean;
  /** LoRA adapters, added in order. */
  adapters: { path: string; scale: number }[];
  /** The context is for sentence embeddings, pooled so, and not for text; see `withEmbeddings`. */
  embeddings?: { pooling: "model" | "none" | "mean" | "cls" | "last" | "rank" };
  /** RoPE settings that override the model's. */
  ropeFrequencyBase?: number;
  ropeFrequencyScale?: number;
  /**
   * Most tokens with logits in one micro-batch; `sequences` × 9 where absent (a token and 8 speculated). All of them
   * where they are embedded.
   */
  outputs?: number;
}

/**
 * Batches of this many rows or more are computed on a device, with the weights of the host streamed to it; smaller ones
 * where the weights are. One more than ggml's own default, so that the largest batch that is not streamed is a
 * whole number of tokens for 1, 2, 4, 8, 16 or 32 sequences: only such a batch can be reserved in advance. For other
 * numbers of sequences see `streamsFrom`.
 */
export const streamFromRows = 33;

/**
 * Rows from which on the batches of a plan are streamed: `streamFromRows`, or fewer where its sequences do not divide the
 * largest batch below that, so that the largest one that is not streamed is whole again. More sequences than rows cannot
 * be reserved at all.
 */
export function streamsFrom(plan: Plan): number {
  if (!streams(plan) || plan.sequences >= streamFromRows) return streamFromRows;
  return Math.floor((streamFromRows - 1) / plan.sequences) * plan.sequences + 1;
}

/** Whether any batch of a plan is computed on a device with streamed weights. */
export function streams({ devices, streamWeights, microBatch }: Plan): boolean {
  return devices?.length !== 0 && streamWeights !== false && microBatch >= streamFromRows;
}

/** Tokens of a micro-batch that may have logits. */
export function mostOutputs({ sequences, microBatch, outputs, embeddings }: Plan): number {
  const wanted = embeddings ? microBatch : Math.min(outputs ?? sequences * 9, microBatch);
  return Math.max(sequences, wanted);
}

/** Cells of the cache that all sequences share, before llama.cpp rounds them. */
export function sharedCells({ kvCells, sequences, contextLength }: Plan): number {
  return kvCells ?? sequences * contextLength;
}

export interface TensorOverride {
  pattern: string;
  /** `host`, or a device name. */
  placement: string;
}

/** Bytes that the engine allocated, or would allocate, on one device. */
export interface MemoryUse {
  /** A device's name, or `host`. */
  device: string;
  weightsBytes: number;
  kvBytes: number;
  computeBytes: number;
}

/** Element types that a KV cache can have. */
export const kvTypes = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"] as const;
export type KvType = (typeof kvTypes)[number];

/** A plan with every setting at its default: CPU or all layers offloaded, one sequence, f16 KV cache. */
export function simplePlan(wishes: Partial<Plan> & { modelPath: string; threads: number }): Plan {
  return {
    gpuLayers: -1,
    tensorOverrides: [],
    contextLength: 4096,
    sequences: 1,
    microBatch: 512,
    kvLayout: "separate",
    kvTypeK: "f16",
    kvTypeV: "f16",
    kvOffload: true,
    flashAttention: "auto",
    threadsBatch: wishes.threads,
    loadMode: "auto",
    adapters: [],
    ...wishes,
  };
}

/** Whether weights on the host are pages of the file. */
export function isMapped({ loadMode }: Partial<Plan>): boolean {
  return loadMode === "mmap" || loadMode === "auto" || loadMode === "mlock";
}
