import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { MatrixSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import { extraBufferTypes, supportsIn } from "../native/graph.js";
import type { Clock } from "./calibration-clock.js";
import type { Tensors, Workbench } from "./calibration-workbench.js";

/** The row counts that a matrix is measured with: one token, some sequences at once, and up to a full micro-batch. */
const rowPoints = [1, 8, 32, 128, 512];
/** A hidden size and a feed-forward size of a model of a billion parameters: whole blocks of every type. */
const hidden = 2048;
const feedForward = 5632;
/** Smaller matrices, for processors that need long for a whole one and many rows. */
const smaller = [1024, 256];
/** Weights that one measurement passes: four times the last-level cache of most processors, so that memory shows. */
const workingBytes = 128 * 2 ** 20;
/** About how long one computation of a graph may take. */
const graphSeconds = 0.06;

/**
 * Measures multiplications by weights of a type. The matrices follow on each other as in a feed-forward network, each
 * waiting for the one before it. `extra` takes the first of the CPU's buffer types that has its own kernels for the
 * type; undefined where none has, or where the processor cannot multiply by the type. Points that would not fit into
 * the time left, judged by the points before them, are left out.
 */
export async function matrixSpeed(
  workbench: Workbench,
  clock: Clock,
  type: TensorTypeName,
  { extra = false, memoryBytes = workingBytes } = {},
): Promise<MatrixSpeed | undefined> {
  const bufferType = extra ? repackingType(workbench, type) : workbench.bufferType;
  if (bufferType === undefined) return undefined;
  const bytes = tensorBytes(type, [hidden, feedForward])!;
  const count = 2 * Math.max(1, Math.ceil(Math.min(workingBytes, memoryBytes) / bytes / 2));
  using weights = workbench.tensors(count + smaller.length);
  const small = smaller.map((rows) => weights.make(type, [hidden, rows]));
  const matrices = Array.from({ length: count }, (_, index) =>
    weights.make(type, index % 2 === 0 ? [hidden, feedForward] : [feedForward, hidden]),
  );
  if (!extra && !supports(workbench, matrices[0]!)) return undefined;
  weights.allocate(bufferType);
  weights.areWeights();
  for (const matrix of [...small, ...matrices]) await workbench.fill(matrix, type);

  // All matrices at once, or fewer, or a small one: about as much as fits into the time of one computation.
  const choices = [
    ...Array.from({ length: count - 1 }, (_, index) => ({
      chain: matrices.slice(0, count - index),
      bytes: (count - index) * bytes,
    })),
    ...small.map((matrix, index) => ({
      chain: [matrix],
      bytes: tensorBytes(type, [hidden, smaller[index]!])!,
    })),
  ];
  const speed: MatrixSpeed = { rows: [], bytesPerSecond: [] };
  // The smallest says how fast the processor is.
  let secondsPerByte =
    (await chainSeconds(workbench, clock, choices.at(-1)!.chain, 1)) / choices.at(-1)!.bytes;
  let measuredRows = 1;
  for (const rows of rowPoints) {
    const expected = (secondsPerByte * rows) / measuredRows;
    const { chain, bytes } =
      choices.find((choice) => choice.bytes * expected < graphSeconds) ?? choices.at(-1)!;
    if (rows > 1 && !clock.allows(2 * bytes * expected)) break;
    const seconds = await chainSeconds(workbench, clock, chain, rows);
    speed.rows.push(rows);
    speed.bytesPerSecond.push(bytes / seconds);
    secondsPerByte = seconds / bytes;
    measuredRows = rows;
  }
  return speed;
}

async function chainSeconds(
  workbench: Workbench,
  clock: Clock,
  matrices: readonly Pointer[],
  rows: number,
): Promise<number> {
  using work = workbench.tensors(matrices.length + 1);
  const input = work.make("F32", [hidden, rows]);
  let state = input;
  for (const matrix of matrices) state = workbench.functions.multiply(work.context, matrix, state);
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  return await clock.median(() => workbench.compute(graph));
}

/** Experts of one feed-forward layer, how many a token uses, and the size of each. */
const experts = 32;
const used = 4;
const expertSize = 768;

/**
 * Measures multiplications that pick experts (`ggml_mul_mat_id`). `rows` are those of each expert that is used, and
 * the bytes are those of all experts used: a batch of n tokens that use k of e experts touches about
 * e·(1 − (1 − k/e)ⁿ) of them with n·k rows in all. Tokens and layers use other experts each time, as routers have it.
 */
export async function expertSpeed(
  workbench: Workbench,
  clock: Clock,
  type: TensorTypeName,
  { extra = false, memoryBytes = workingBytes } = {},
): Promise<MatrixSpeed | undefined> {
  const bufferType = extra ? repackingType(workbench, type, true) : workbench.bufferType;
  if (bufferType === undefined) return undefined;
  const bytes = tensorBytes(type, [hidden, expertSize])!;
  const count = 2 * Math.max(1, Math.ceil(Math.min(workingBytes, memoryBytes) / (bytes * experts) / 2));
  using weights = workbench.tensors(count);
  const layers = Array.from({ length: count }, (_, index) =>
    weights.make(type, [...(index % 2 === 0 ? [hidden, expertSize] : [expertSize, hidden]), experts]),
  );
  if (!extra && !supports(workbench, layers[0]!, true)) return undefined;
  weights.allocate(bufferType);
  weights.areWeights();
  for (const layer of layers) await workbench.fill(layer, type);

  const speed: MatrixSpeed = { rows: [], bytesPerSecond: [] };
  // Of a layer's experts, one token touches few.
  let secondsPerByte = (await expertChainSeconds(workbench, clock, layers.slice(0, 1), 1)) / (used * bytes);
  let measuredRows = 1;
  for (const tokens of [1, 32, 512]) {
    const touched = Math.min(experts, tokens * used);
    const rows = (tokens * used) / touched;
    const expected = (touched * bytes * secondsPerByte * rows) / measuredRows;
    const chosen = layers.slice(0, Math.max(1, Math.floor(graphSeconds / expected)));
    if (tokens > 1 && !clock.allows(2 * expected * chosen.length)) break;
    const seconds = await expertChainSeconds(workbench, clock, chosen, tokens);
    speed.rows.push(rows);
    speed.bytesPerSecond.push((chosen.length * touched * bytes) / seconds);
    secondsPerByte = seconds / (chosen.length * touched * bytes);
    measuredRows = rows;
  }
  return speed;
}

async function expertChainSeconds(
  workbench: Workbench,
  clock: Clock,
  layers: readonly Pointer[],
  tokens: number,
): Promise<number> {
  using work = workbench.tensors(2 * layers.length + 2);
  const input = work.make("F32", [hidden, used, tokens]);
  const ids = layers.map(() => work.make("I32", [used, tokens]));
  let state = input;
  layers.forEach((layer, index) => {
    state = workbench.functions.multiplyExperts(work.context, layer, state, ids[index]!);
  });
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  const choose = async (repetition: number) => {
    for (const [layer, tensor] of ids.entries()) {
      await workbench.write(tensor, (target) => {
        // Neighbouring experts to each token; other ones in every layer and repetition, or the cache would hold them.
        const chosen = new Int32Array(target.length / 4);
        for (let at = 0; at < chosen.length; at++) chosen[at] = (at + used * (repetition + layer)) % experts;
        target.set(new Uint8Array(chosen.buffer));
      });
    }
  };
  return await clock.median(() => workbench.compute(graph), choose);
}

/** Whether the processor multiplies by weights of this type, where they are in its own memory. */
function supports(workbench: Workbench, weights: Pointer, asExperts = false): boolean {
  using trial = workbench.tensors(4);
  return workbench.functions.supports(workbench.device, product(workbench, trial, weights, asExperts));
}

/** The first buffer type that lays weights of this type out for kernels of its own. */
function repackingType(workbench: Workbench, type: TensorTypeName, asExperts = false): Pointer | undefined {
  return extraBufferTypes(workbench.ggml, workbench.device).find((bufferType) => {
    using trial = workbench.tensors(5);
    const matrix = trial.make(type, asExperts ? [hidden, expertSize, experts] : [hidden, feedForward]);
    const operation = product(workbench, trial, matrix, asExperts);
    return supportsIn(workbench.functions, workbench.device, operation, matrix, bufferType);
  });
}

function product({ functions }: Workbench, trial: Tensors, weights: Pointer, asExperts: boolean): Pointer {
  if (!asExperts) return functions.multiply(trial.context, weights, trial.make("F32", [hidden, 512]));
  const input = trial.make("F32", [hidden, used, 512]);
  return functions.multiplyExperts(trial.context, weights, input, trial.make("I32", [used, 512]));
}
