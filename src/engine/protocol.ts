import type { TensorTypeName } from "../gguf/tensor-types.js";
import type { DeviceReading } from "../hardware/device-reading.js";
import type { DeviceUser } from "../hardware/drm.js";
import type { ComputeSpeed, LinkSpeed, MatrixSpeed, RowsSpeed } from "../hardware/facts.js";
import type { PowerReading } from "../hardware/power.js";
import type { MemoryUse, Plan } from "../plan/plan.js";
import type { LibraryWish } from "./native/libraries.js";
import type { SamplingSettings } from "./sampling.js";

/** What the parent asks the host, and what it answers. Plain data, sent over the child process's channel. */
export interface Requests {
  /** Loads the libraries and says what they offer. */
  devices: { asks: { wish: LibraryWish }; answers: Device[] };
  /** Loads a model and creates its context; `dry` allocates nothing and only measures. */
  open: {
    asks: { wish: LibraryWish; plan: Plan; dry: boolean; importance?: ImportanceOptions };
    answers: OpenedModel;
  };
  /** What a plan would allocate; nothing stays behind. */
  measure: { asks: { wish: LibraryWish; plan: Plan }; answers: MemoryUse[] };
  step: { asks: Step; answers: StepResult };
  /** Makes a sampler that has seen `history`, under an id the caller chose. */
  createSampler: { asks: { id: number; settings: SamplingSettings; history: Int32Array }; answers: null };
  tokenize: { asks: { text: string; addSpecial: boolean; parseSpecial: boolean }; answers: Int32Array };
  detokenize: {
    asks: { tokens: Int32Array; removeSpecial: boolean; unparseSpecial: boolean };
    answers: Uint8Array;
  };
  /** The texts of all control tokens. */
  controlTokens: { asks: Record<string, never>; answers: string[] };
  pieces: { asks: { tokens: number[] }; answers: Piece[] };
  /** Embeds texts, each one sequence of tokens. */
  embed: { asks: { texts: Int32Array[]; pooling: Pooling }; answers: Float32Array[] };
  /** Computes a window of tokens from an empty KV cache, and how probable the model found what follows in it. */
  score: { asks: ScoringWindow; answers: WindowScore };
  /** What has been collected of each matrix while windows were scored. */
  importance: { asks: Record<string, never>; answers: ImportanceEntry[] };
  /** The sums of squares of one of them: `columns` for each matrix. */
  importanceSums: { asks: { name: string }; answers: Float32Array };
  /** Adds what was collected before, by this program or another. */
  addImportance: { asks: { entry: ImportanceEntry; sums: Float32Array }; answers: null };
  saveState: { asks: { path: string; sequence: number; tokens: Int32Array }; answers: { bytes: number } };
  loadState: { asks: { path: string; sequence: number }; answers: { tokens: Int32Array } };
  memory: { asks: Record<string, never>; answers: MemoryUse[] };
  /** Measures how fast one processor is. */
  calibrate: { asks: { wish: LibraryWish; task: CalibrationTask }; answers: ProcessorCalibration };
}
export type { MemoryUse };
export type Pooling = "model" | "none" | "mean" | "cls" | "last" | "rank";

/** A device that the libraries can compute on. */
export interface Device {
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "integrated-gpu" | "accelerator" | "meta";
  /** As ggml sees it. */
  freeBytes: number;
  totalBytes: number;
  /** PCI address: `0000:c1:00.0`; absent where it has none. */
  busId?: string;
  /** What the device's driver says (NVML, sysfs), where it says it. */
  reading?: DeviceReading;
  /** What its driver says of its power, where it says it. */
  power?: PowerReading;
  /** Other processes that hold its memory, as far as this user may see them. */
  usedBy: DeviceUser[];
  /** What the engine host itself holds of it by the driver's count, where it tells: all, not only what was allocated. */
  ownBytes?: number;
  /** Its memory is the host's RAM. */
  unified: boolean;
  /** Every tensor starts at a multiple of this within a buffer. */
  alignmentBytes: number;
  /** The greatest buffer it can have; `Number.MAX_SAFE_INTEGER` without a limit. */
  maxBufferBytes: number;
}

export interface OpenedModel {
  backend: string;
  libraryVersion: string;
  systemInfo: string;
  description: string;
  devices: Device[];
  memory: MemoryUse[];
  model: ModelFacts;
  context: { length: number; sequences: number; batch: number; microBatch: number; outputs: number };
  loadMs: number;
}

/** Collect the importance of the columns of all weight matrices; `output` takes in the output matrix. */
export interface ImportanceOptions {
  output: boolean;
}

/** What was collected for one weight matrix, or for a stack of them. */
export interface ImportanceEntry {
  /** Name of its tensor. */
  name: string;
  columns: number;
  /** Matrices of the stack: experts, or 1. */
  matrices: number;
  /** Rows that were multiplied by each expert; one number for a dense matrix. */
  counts: Float64Array;
}

/** Consecutive tokens to compute at once, from an empty KV cache. */
export interface ScoringWindow {
  tokens: Int32Array;
  /** Each token behind this position is scored by the logits of the one before it. */
  firstScored: number;
  /** File of the log-probabilities of every scored position, to write, or to hold this model's against. */
  base?: { path: string; mode: "write" | "compare"; firstRow: number };
}

export interface WindowScore {
  /** Natural logarithm of one over the probability, for each scored token: `tokens.length - 1 - firstScored`. */
  surprise: Float64Array;
  /** Kullback-Leibler divergence of this model's prediction from the base's, in nats. */
  divergence?: Float64Array;
  /** 1 where both find the same token most probable. */
  sameTop?: Uint8Array;
  /** Time in the native decode calls, milliseconds. */
  decodeMs: number;
}

export interface ModelFacts {
  architecture: string;
  parameters: number;
  bytes: number;
  trainedContextLength: number;
  hiddenSize: number;
  embeddingSize: number;
  layers: number;
  vocabularySize: number;
  hasEncoder: boolean;
  hasDecoder: boolean;
  /** Its state cannot be trimmed token by token (Mamba, RWKV and mixes): no prefix sharing, no speculation. */
  isRecurrent: boolean;
  canShift: boolean;
  tokens: {
    bos: number;
    eos: number;
    eot: number;
    pad: number;
    newline: number;
    bosText: string;
    eosText: string;
    addBos: boolean;
    addEos: boolean;
  };
}

/** One turn of the host: memory operations, then at most one micro-batch of tokens. */
export interface Step {
  memory: MemoryOperation[];
  freeSamplers: number[];
  runs: Run[];
  /**
   * The next step will most likely continue these runs by the tokens they choose: begin it before it is asked for, so
   * that messages travel while the next micro-batch is computed. Where it turns out otherwise, what was begun is undone.
   */
  ahead?: boolean;
}

/** Operations on the KV cache, in order. Positions are token positions; `to` = -1 is the end. */
export type MemoryOperation =
  | { kind: "remove"; sequence: number; from: number; to: number }
  | { kind: "copy"; source: number; target: number; from: number; to: number }
  | { kind: "shift"; sequence: number; from: number; to: number; by: number }
  | { kind: "clear" };

/** Consecutive tokens of one sequence, computed in one micro-batch. */
export interface Run {
  sequence: number;
  /** Position of the first token. */
  position: number;
  tokens: Int32Array;
  /** How many of the last tokens give logits: each of them chooses the token that follows it. */
  outputs: number;
  /** The sampler that chooses; plain greedy where absent. */
  sampler?: number;
  /**
   * `verify`: the tokens after each output are guesses; the first that differs from the choice ends the run,
   * and what was computed beyond it is removed from the KV cache. `replay`: they are known; the sampler
   * goes through its motions, so that its state becomes what it was, and takes them.
   */
  mode: "verify" | "replay";
  /** In a replay, the known token after the last one, where it is known too. */
  next?: number;
  /** How many of the most probable tokens to report with each choice, beside the chosen one. */
  logprobs?: number;
  /** Return the raw logits of each output. */
  logits?: boolean;
}

export interface StepResult {
  /** `full`: no room in a unified KV cache, nothing was computed. */
  status: "ok" | "full";
  /** For each run, the tokens chosen at its outputs: at least one where it has outputs that choose. */
  chosen: Int32Array[];
  logprobs?: (TokenLogprobs[] | undefined)[];
  logits?: (Float32Array[] | undefined)[];
  /** The text of tokens chosen for the first time by this host. */
  pieces: Piece[];
  /** Time in the native decode call, milliseconds. */
  decodeMs: number;
}

export interface TokenLogprobs {
  token: number;
  logprob: number;
  top: { token: number; logprob: number }[];
}

/** A token's text as bytes: a character may be split over several tokens. */
export interface Piece {
  token: number;
  bytes: Uint8Array;
  /** A control token: not part of the text. */
  control: boolean;
  /** Ends the generation. */
  endOfGeneration: boolean;
}

/** What to measure of one processor. */
export interface CalibrationTask {
  /** ggml's name of a device; `CPU` is the host. */
  device: string;
  /** Threads of the CPU. */
  threads: number;
  /** Tensor types to multiply by, those that matter most first. */
  types: TensorTypeName[];
  /** Those of experts. */
  expertTypes: TensorTypeName[];
  /** Leave out everything but multiplications: it is known. */
  matricesOnly: boolean;
  /** About how long it may take. Large row counts of slow processors are left out where time is short. */
  secondsLimit: number;
}

/** What was measured; see `ComputeSpeed`. A type that the processor cannot multiply by is in no table. */
export interface ProcessorCalibration {
  /** Types that there was no time for. */
  skipped: { types: TensorTypeName[]; expertTypes: TensorTypeName[] };
  matrix: Record<string, MatrixSpeed>;
  repacked?: Record<string, MatrixSpeed>;
  experts: Record<string, MatrixSpeed>;
  repackedExperts?: Record<string, MatrixSpeed>;
  operations?: {
    nodeSeconds: number;
    multiplySeconds: number;
    passBytesPerSecond: number;
    norm?: RowsSpeed;
    rope?: RowsSpeed;
    attention?: ComputeSpeed["attention"];
    link?: LinkSpeed;
  };
  /** Memory of the host's process with its libraries loaded and the backend open, before any tensor. */
  hostRuntimeBytes: number;
  /** CPU time that the host's process has taken. */
  cpuSeconds: number;
  /** What first runs took beyond later ones: shaders that a driver compiles then, once. */
  firstRunSeconds: number;
  /** Device memory that the backend keeps after all tensors were freed; 0 for the host, and where no reading tells. */
  deviceBytes: number;
  /** Drawn on the average while it multiplied; absent where no counter or sensor tells. */
  loadWatts?: number;
}

export type RequestName = keyof Requests;
export type Asks<Name extends RequestName> = Requests[Name]["asks"];
export type Answers<Name extends RequestName> = Requests[Name]["answers"];

/** What travels from the parent to the host. */
export type ToHost =
  | { [Name in RequestName]: { id: number; name: Name; asks: Asks<Name> } }[RequestName]
  | { id: number; name: "cancelLoad" };
/** What travels back. */
export type FromHost =
  | { id: number; answer: unknown }
  | { id: number; error: { code: string; facts: unknown } | { message: string; stack: string } }
  | { progress: number };
