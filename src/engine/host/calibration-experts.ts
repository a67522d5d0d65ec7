import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { MatrixSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import { expertSize, experts, expertsUsed, hidden } from "./calibration-buffers.js";
import type { Clock } from "./calibration-clock.js";
import { rowSecondsOf, steadySeconds, type WeightsCase, withoutFixed } from "./calibration-matrices.js";
import { longGraphNodes, randomNumbers, type Tensors, type Workbench } from "./calibration-workbench.js";

/** The row counts of each expert that is used which are measured. */
const rowPoints = [1, 4, 16, 64];
/**
 * Fewer and smaller experts, for processors that need long for many rows. As many of them are used as of the others: a
 * kernel's tiles go by the tokens, so a row count means the same tokens.
 */
const smaller = { experts: 8, used: 1, shape: [512, 256] } as const;
/** Square experts whose rows are as short as models have them, and layers of these. */
const shortRows = { experts: 8, used: 4, length: 512, layers: longGraphNodes };
/** About how long one computation of a graph may take. */
const graphSeconds = 0.04;

/**
 * Measures multiplications that pick experts (`ggml_mul_mat_id`). `rows` are those of each expert that is used, and
 * the bytes are those of all experts used: a batch of n tokens that use k of e experts touches about
 * e·(1 − (1 − k/e)ⁿ) of them with n·k rows in all. Each token of each layer uses other ones by
 * chance, as routers have it: some experts get more rows than others, and a kernel's tiles are not all full.
 */
export async function expertSpeed(
  workbench: Workbench,
  clock: Clock,
  { type, bufferType, passBytes, multiplySeconds, isHost }: WeightsCase,
): Promise<MatrixSpeed> {
  using few = workbench.tensors(1 + shortRows.layers);
  const least = stackOf(few, type, smaller, [smaller.shape]);
  const { length: shortLength } = shortRows;
  const short = stackOf(
    few,
    type,
    shortRows,
    Array.from({ length: shortRows.layers }, () => [shortLength, shortLength] as const),
  );
  await workbench.fillWeights(few, type, bufferType);
  let secondsPerByte = (await chainSeconds(workbench, clock, least, 1)) / (smaller.used * least.bytes);

  const bytes = tensorBytes(type, [hidden, expertSize])!;
  const count = Math.max(1, Math.ceil(passBytes / (bytes * experts) / 2));
  using weights = workbench.tensors(2 * count);
  const shapes = Array.from(
    { length: count },
    () =>
      [
        [hidden, expertSize],
        [expertSize, hidden],
      ] as const,
  );
  const whole = stackOf(weights, type, { experts, used: expertsUsed }, shapes.flat());
  await workbench.fillWeights(weights, type, bufferType);

  const speed: MatrixSpeed = { rows: [], bytesPerSecond: [] };
  let measuredRows = 1;
  for (const rows of rowPoints) {
    const secondsOfRow = secondsPerByte / measuredRows;
    const touched = ({ experts, used }: Stack) => (rows === 1 ? used : experts);
    const expected = (stack: Stack) => touched(stack) * stack.bytes * secondsOfRow * rows;
    // One row of small experts would take less than what else a multiplication costs.
    const stack = rows === 1 || expected(whole) < graphSeconds ? whole : least;
    const layers = stack.layers.slice(0, Math.max(1, Math.floor(graphSeconds / expected(stack))));
    // Twice, for a first run, but tiles that were not full make many rows cheaper than expected.
    if (rows > 1 && !clock.allows(expected(stack) * layers.length)) break;
    const tokens = rows === 1 ? 1 : (rows * stack.experts) / stack.used;
    const isAlone = rows === 1 && !isHost;
    const measure = (what: Stack) =>
      steadySeconds(isAlone, () => chainSeconds(workbench, clock, what, tokens));
    const matrices = layers.length * touched(stack);
    let seconds = withoutFixed(await measure({ ...stack, layers }), layers.length * multiplySeconds);
    if (isAlone) {
      const timed = ({ bytes, matrixRows }: Stack, count: number, seconds: number) => ({
        ...{ bytes: count * bytes, matrixRows: count * matrixRows, seconds },
      });
      const shortTook = await measure(short);
      const shortSeconds = withoutFixed(shortTook, short.layers.length * multiplySeconds);
      speed.rowSeconds = rowSecondsOf(
        timed(stack, matrices, seconds),
        timed(short, short.layers.length * short.used, shortSeconds),
      );
      seconds = withoutFixed(seconds, matrices * stack.matrixRows * speed.rowSeconds);
    }
    speed.rows.push(rows);
    speed.bytesPerSecond.push((matrices * stack.bytes) / seconds);
    secondsPerByte = seconds / (matrices * stack.bytes);
    measuredRows = rows;
  }
  return speed;
}

/** Layers of experts that follow on each other. */
interface Stack {
  layers: Pointer[];
  experts: number;
  /** By each token. */
  used: number;
  /** The row length of the first layer. */
  length: number;
  /** Rows of one expert, over all layers on average. */
  matrixRows: number;
  /** Of one expert. */
  bytes: number;
}

function stackOf(
  weights: Tensors,
  type: TensorTypeName,
  { experts, used }: Pick<Stack, "experts" | "used">,
  shapes: readonly (readonly [number, number])[],
): Stack {
  return {
    layers: shapes.map((shape) => weights.make(type, [...shape, experts])),
    ...{ experts, used },
    length: shapes[0]![0],
    matrixRows: shapes.reduce((sum, [, rows]) => sum + rows, 0) / shapes.length,
    bytes: tensorBytes(type, shapes[0]!)!,
  };
}

async function chainSeconds(
  workbench: Workbench,
  clock: Clock,
  { layers, experts, used, length }: Stack,
  tokens: number,
): Promise<number> {
  using work = workbench.tensors(2 * layers.length + 1);
  const input = work.make("F32", [length, used, tokens]);
  const ids = layers.map(() => work.make("I32", [used, tokens]));
  let state = input;
  layers.forEach((layer, index) => {
    state = workbench.functions.multiplyExperts(work.context, layer, state, ids[index]!);
  });
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  const random = randomNumbers(1);
  const route = async () => {
    for (const tensor of ids) {
      await workbench.write(tensor, (target) => {
        const chosen = new Int32Array(target.length / 4);
        for (let at = 0; at < chosen.length; at += used) chosen.set(choose(experts, used, random), at);
        target.set(new Uint8Array(chosen.buffer));
      });
    }
  };
  return await clock.time(() => workbench.compute(graph), route);
}

/** Experts that one token uses, each once. */
function choose(experts: number, used: number, random: () => number): Int32Array {
  const chosen = new Set<number>();
  while (chosen.size < used) chosen.add(Math.floor(random() * experts));
  return Int32Array.from(chosen);
}
