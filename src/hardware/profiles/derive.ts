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
 * benchmarks it is 1 to 3 % of the work. The points between those published lie on a roofline with a soft edge,
 *
 *     seconds(r)^p = memorySeconds^p + (r × secondsPerRow)^p,   p = 1.1,
 *
 * through the point of one row (memory-bound) and the one of a full micro-batch (compute-bound). p is fitted to the
 * points published for an RTX 4090 (llama.cpp pull request 24127): within 10 % at 16 to 256 rows. A device that computes
 * two to eight rows with other kernels than one (Metal, older NVIDIA cards) is slower there than this says.
 */
export function deriveMatrix(
  published: readonly PublishedPoint[],
  nodeSeconds: number,
  types: TypeRatios,
): Record<string, MatrixSpeed> {
  const points = published.map((point) => ({
    rows: point.rows,
    bytesPerSecond: publishedSpeed(point, nodeSeconds),
  }));
  const one = points.find(({ rows }) => rows === 1)!;
  const full = points.reduce((most, point) => (point.rows > most.rows ? point : most));
  const known = new Map(points.map((point) => [point.rows, point.bytesPerSecond]));
  const base = rowCounts.map(
    (rows) =>
      known.get(rows) ?? 1 / softRoofline(1 / one.bytesPerSecond, 1 / full.bytesPerSecond, full.rows, rows),
  );
  return Object.fromEntries(
    Object.entries(types).map(([type, ratios]) => [type, scaled(base, ratios, full.rows)]),
  );
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
const softness = 1.1;

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

/** Seconds per byte at `rows` rows, between one row and `fullRows` rows; beyond them, time grows with the rows. */
export function softRoofline(one: number, full: number, fullRows: number, rows: number): number {
  if (rows >= fullRows) return (full * rows) / fullRows;
  // What the rows themselves cost, so that both ends are met.
  const work = (full ** softness - one ** softness) / (fullRows ** softness - 1);
  const fixed = one ** softness - work;
  return (fixed + work * rows ** softness) ** (1 / softness);
}

/**
 * The points of another type. Where memory bounds them they compare by bytes, where arithmetic does, by elements: the
 * ratio goes from one to the other with the share of the arithmetic in the time.
 */
function scaled(base: number[], { one, full }: { one: number; full: number }, fullRows: number): MatrixSpeed {
  const seconds = base.map((speed) => 1 / speed);
  const last = seconds[rowCounts.indexOf(fullRows)] ?? seconds.at(-1)!;
  return {
    rows: rowCounts,
    bytesPerSecond: base.map((speed, index) => {
      const share = Math.min(1, Math.max(0, (seconds[index]! - seconds[0]!) / (last - seconds[0]!)));
      return Math.round(speed / ((1 - share) / one + share / full));
    }),
  };
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
