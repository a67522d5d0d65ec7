import type { MatrixSpeed } from "../facts.js";

/**
 * Turns what users publish of llama.cpp into the speeds of a processor.
 *
 * `llama-bench` prints tokens per second: `tg` for one token at a time, `pp` for a prompt that is computed in
 * micro-batches. A micro-batch of r tokens passes the weights of every layer once, so it takes
 *
 *     seconds(r) = r / tokensPerSecond(r) = weightBytes / bytesPerSecond(r) + layers × nodesPerLayer × nodeSeconds
 *
 * which gives `bytesPerSecond(r)`, a point of `MatrixSpeed`. Attention is left out: at the short contexts of these
 * benchmarks it is 1 to 3 % of the work. Between one row, where reading the weights takes the time, and a full
 * micro-batch, where arithmetic does, the time of a type grows by the same for each row. An RTX 4090's own points
 * (llama.cpp pull request 24127) lie within 5 % of that line from 64 to 256 rows, and 15 % above it at 32. What a
 * published point deviates from the line, all types deviate there. A device that computes two to eight rows with
 * other kernels than one (Metal, older NVIDIA cards) is slower there than this says.
 */
export function deriveMatrix(
  published: readonly PublishedPoint[],
  nodeSeconds: number,
  types: TypeRatios,
): Record<string, MatrixSpeed> {
  const seconds = new Map(published.map((point) => [point.rows, 1 / publishedSpeed(point, nodeSeconds)]));
  const fullRows = Math.max(...seconds.keys());
  const line = { one: seconds.get(1)!, full: seconds.get(fullRows)!, fullRows };
  const matrix = Object.entries(types).map(([type, ratios]) => {
    const full = line.full / ratios.full;
    // Alone, a row takes at least what it takes among many: a type of few bits is bound by arithmetic even there.
    const own = { one: Math.max(line.one / ratios.one, full / fullRows), full, fullRows };
    const bytesPerSecond = rowCounts.map((rows) => {
      const deviation = (seconds.get(rows) ?? secondsAt(line, rows)) / secondsAt(line, rows);
      return Math.round(1 / (secondsAt(own, rows) * deviation));
    });
    return [type, { rows: rowCounts, bytesPerSecond }];
  });
  return Object.fromEntries(matrix);
}

/** A line of llama-bench: a model of which `weightBytes` are read per pass, and its speed with micro-batches of `rows`. */
export interface PublishedPoint extends ReferenceModel {
  rows: number;
  tokensPerSecond: number;
}

export interface ReferenceModel {
  /** Bytes of all weights but the token embedding, of which one row per token is read. */
  weightBytes: number;
  layers: number;
}

/** How a type compares with Q4_K: bytes per second at one row, and elements per second at a full micro-batch. */
export type TypeRatios = Record<string, { one: number; full: number }>;

/** Row counts of every profile's points. */
export const rowCounts = [1, 8, 32, 128, 512, 2048];

/** Nodes of a layer's graph that compute something (LLaMA: 3 norms and adds, 7 multiplications, RoPE, KV, attention…). */
const nodesPerLayer = 30;

/** Bytes of weights per second at a published point. */
export function publishedSpeed(point: PublishedPoint, nodeSeconds: number): number {
  const seconds = point.rows / point.tokensPerSecond - point.layers * nodesPerLayer * nodeSeconds;
  return point.weightBytes / seconds;
}

/** The other way: tokens per second, one at a time, of a model whose weights are read at this rate. */
export function tokensPerSecondAt(
  bytesPerSecond: number,
  model: ReferenceModel,
  nodeSeconds: number,
): number {
  return 1 / (model.weightBytes / bytesPerSecond + model.layers * nodesPerLayer * nodeSeconds);
}

/** Seconds per byte at one row and at `fullRows` rows. */
interface Line {
  one: number;
  full: number;
  fullRows: number;
}

/** Seconds per byte at `rows` rows. Beyond a full micro-batch each row costs what it does there. */
export function secondsAt({ one, full, fullRows }: Line, rows: number): number {
  if (rows >= fullRows) return (full * rows) / fullRows;
  return one + ((rows - 1) / (fullRows - 1)) * (full - one);
}

/** The reference models of the benchmarks that the profiles cite. Sizes as llama-bench prints them. */
export const referenceModels = {
  /** LLaMA 3 8B, Q4_K_M: 4.58 GiB, of which 128,256 × 4,096 elements of Q4_K embed tokens. */
  llama8bQ4KM: { weightBytes: 4.58 * 2 ** 30 - (128_256 * 4096 * 144) / 256, layers: 32 },
  /** LLaMA 3 8B, Q4_K_S: 4.36 GiB. */
  llama8bQ4KS: { weightBytes: 4.36 * 2 ** 30 - (128_256 * 4096 * 144) / 256, layers: 32 },
  /** DeepSeek R1 distilled to Qwen 2.5 14B, Q4_K_M: 8.37 GiB, of which 152,064 × 5,120 elements embed tokens. */
  qwen14bQ4KM: { weightBytes: 8.37 * 2 ** 30 - (152_064 * 5120 * 144) / 256, layers: 48 },
} satisfies Record<string, ReferenceModel>;
