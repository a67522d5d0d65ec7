/** What the machine is called that jauge runs on. */
export const thisMachine = "this machine";

/**
 * What the planner knows about a machine: plain data, measured here or read from a profile of another machine.
 * Sizes are bytes, speeds are per second.
 */
export interface HardwareFacts {
  /** `thisMachine`, or a profile's name. */
  name: string;
  /** `measured` by the doctor here, `profile` from published figures, `assumed` where nothing was measured yet. */
  origin: "measured" | "profile" | "assumed";
  /** Share of the processors that other programs took while speeds were measured, where that was much. */
  disturbed?: number;
  host: HostFacts;
  /** Devices that tensors can be placed on, in ggml's order. The CPU is the host, not one of these. */
  devices: DeviceFacts[];
}

export interface HostFacts {
  /** The processor's name. */
  description: string;
  totalBytes: number;
  /** What new allocations can take now without paging, within all limits of this process. */
  availableBytes: number;
  /** Host memory that jauge and the libraries take before any tensor. */
  runtimeBytes: number;
  /** Threads that compute: physical cores this process may use. */
  threads: number;
  speed: ComputeSpeed;
  /** Sequential read speed of the disk that holds the models, bytes per second; absent where unknown. */
  diskBytesPerSecond?: number;
  /** Of the CPU; absent where nothing tells. */
  power?: PowerFacts;
}

/** What a processor draws while it computes. */
export interface PowerFacts {
  watts: number;
  /** `measured` under load by the doctor, or the most that it may draw. */
  basis: "measured" | "limit";
}

export interface DeviceFacts {
  /** ggml's name: `Vulkan0`, `CUDA0`. */
  name: string;
  description: string;
  kind: "gpu" | "integrated-gpu" | "accelerator";
  totalBytes: number;
  freeBytes: number;
  /** Device memory that the runtime itself takes before any tensor, and at its first big batch. */
  runtimeBytes: number;
  /** Its memory is the host's RAM: what it takes counts in both budgets. */
  unified: boolean;
  /** Every tensor starts at a multiple of this within a buffer. */
  alignmentBytes: number;
  speed: ComputeSpeed;
  link: LinkSpeed;
  /** Absent where nothing tells. */
  power?: PowerFacts;
}

/** Copies between host memory and a device's. */
export interface LinkSpeed {
  toDevice: { pageableBytesPerSecond: number; pinnedBytesPerSecond: number };
  toHost: { pageableBytesPerSecond: number; pinnedBytesPerSecond: number };
  /** One hand-over of a hidden state between CPU and device, either way, synchronisation included. */
  crossingSeconds: number;
}

/**
 * How fast one processor computes what a model asks of it. A graph's time is the sum, over what runs on the processor:
 * - each matrix: `multiplySeconds`, its bytes over its type's speed for the rows that it is multiplied by, and its own rows
 *   times the type's `rowSeconds`. `repacked` where the host's weights are laid out for its kernels, which is so without
 *   devices. The output matrix has one row for each token that gives logits; the token embedding is looked up, not multiplied;
 * - experts: the bytes of those that are used, e·(1 − (1 − k/e)ⁿ) of e for n tokens that use k each, with
 *   n·k over as many rows each;
 * - attention of each layer: tokens × cells that they see × heads × (head size of K + of V) multiply-adds; for one token
 *   of each sequence, `oneRow` where it is there, and cells by 256 where they are one sequence's;
 * - `nodeSeconds` for each other operation that computes: in a LLaMA layer 12 (two norms of two, RoPE of Q and K, K and
 *   V stored, attention, two additions, SwiGLU), 6 + k more where a token uses k experts, 3 at the end;
 * - for many tokens, what the other operations read and write over `passBytesPerSecond`: about 22 × tokens × hidden
 *   size × 4 bytes, and 3 × tokens × feed-forward size × 4, for each such layer; (5·k − 3) × tokens × hidden size × 4
 *   more for k experts, whose results are weighed and added;
 * - where `norm` and `rope` are there, they say what those take that the points before count among the others: norms, with
 *   their weights two operations and 4 times the hidden state each, and RoPE of Q and K, of which both together are as much.
 * Behind the last layer's attention only the tokens that give logits are computed. Where weights are streamed to a
 * device, all that at least 32 tokens ask for is computed there, and a KV cache on the host is copied to it for attention.
 * Between processors, `LinkSpeed.crossingSeconds` for each hand-over.
 */
export interface ComputeSpeed {
  /** Reading memory, streaming. */
  memoryBytesPerSecond: number;
  /** What each node of a graph costs beside its arithmetic. */
  nodeSeconds: number;
  /**
   * What each multiplication costs beside passing its weights: its input is laid out for it, and threads meet twice.
   * As much as any node where absent.
   */
  multiplySeconds?: number;
  /** What the small operations on many tokens read and write. As fast as memory where absent. */
  passBytesPerSecond?: number;
  /** A norm with its weights: its rows are tokens, as long as the hidden state. As other operations where absent. */
  norm?: RowsSpeed;
  /** RoPE of queries or keys: its rows are the heads of tokens. As other operations where absent. */
  rope?: RowsSpeed;
  /** Matrix multiplications by the weights' tensor type (`Q4_K`, `F16`, …, as in GGUF). */
  matrix: Record<string, MatrixSpeed>;
  /** The same where the weights are repacked for this CPU (ggml's extra buffer types); host only. */
  repacked?: Record<string, MatrixSpeed>;
  /** Matrix multiplications that pick experts (`ggml_mul_mat_id`), by type: `rows` are those of each expert that is used. */
  experts?: Record<string, MatrixSpeed>;
  /** The same where they are repacked for this CPU; host only. */
  repackedExperts?: Record<string, MatrixSpeed>;
  /**
   * Multiply-adds per second of attention over an F16 KV cache (both products), for one row and for a full micro-batch.
   * Only cells that a token sees count: masked ones are skipped.
   */
  attention: { oneRowPerSecond: number; batchPerSecond: number; oneRow?: OneRowAttention };
}

/** An operation that treats each row by itself takes `seconds` and, for each row, what this and its elements take. */
export interface RowsSpeed {
  seconds: number;
  rowSeconds: number;
  elementSeconds: number;
}

/**
 * Attention of one token, by the size of a head: seconds for each cell and head of the query, and the rate at which the
 * cache is read beside. Heads of a query that share one of the cache read it once, so both count.
 */
export interface OneRowAttention {
  /** Elements of one head of K, growing. */
  headSizes: number[];
  headSeconds: number[];
  cacheBytesPerSecond: number[];
}

/**
 * Bytes of weights passed per second when they are multiplied by `rows[i]` rows at once: the time of a
 * multiplication is the weights' bytes over this. Between the points, times are interpolated.
 */
export interface MatrixSpeed {
  rows: number[];
  bytesPerSecond: number[];
  /** Beside the bytes for each row of a matrix, where one token is multiplied: short rows cost more than theirs. */
  rowSeconds?: number;
}
