import { tensorBytes } from "../../gguf/tensor-types.js";
import type { MatrixSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import { expertSize, experts, expertsUsed, hidden } from "./calibration-buffers.js";
import type { Clock } from "./calibration-clock.js";
import { type WeightsCase, withoutFixed } from "./calibration-matrices.js";
import type { Workbench } from "./calibration-workbench.js";

/** Tokens computed at once: 1, 4 and 64 rows for each expert that is used. */
const tokenPoints = [1, 32, 512];
/** About how long one computation of a graph may take. */
const graphSeconds = 0.04;

/**
 * Measures multiplications that pick experts (`ggml_mul_mat_id`). `rows` are those of each expert that is used, and
 * the bytes are those of all experts used: a batch of n tokens that use k of e experts touches about
 * e·(1 − (1 − k/e)ⁿ) of them with n·k rows in all. Tokens and layers use other experts each time, as routers have it.
 */
export async function expertSpeed(
  workbench: Workbench,
  clock: Clock,
  { type, bufferType, passBytes, multiplySeconds, rowSeconds }: WeightsCase,
): Promise<MatrixSpeed> {
  const bytes = tensorBytes(type, [hidden, expertSize])!;
  const count = 2 * Math.max(1, Math.ceil(passBytes / (bytes * experts) / 2));
  using weights = workbench.tensors(count);
  const layers = Array.from({ length: count }, (_, index) =>
    weights.make(type, [...(index % 2 === 0 ? [hidden, expertSize] : [expertSize, hidden]), experts]),
  );
  await workbench.fillWeights(weights, type, bufferType);

  const speed: MatrixSpeed = { rows: [], bytesPerSecond: [] };
  let secondsPerByte = (await chainSeconds(workbench, clock, layers.slice(0, 1), 1)) / (expertsUsed * bytes);
  let measuredRows = 1;
  for (const tokens of tokenPoints) {
    const touched = Math.min(experts, tokens * expertsUsed);
    const rows = (tokens * expertsUsed) / touched;
    const expected = (touched * bytes * secondsPerByte * rows) / measuredRows;
    const chosen = layers.slice(0, Math.max(1, Math.floor(graphSeconds / expected)));
    if (tokens > 1 && !clock.allows(2 * expected * chosen.length)) break;
    const took = await chainSeconds(workbench, clock, chosen, tokens);
    const matrixRows = (touched * chosen.length * (hidden + expertSize)) / 2;
    const fixed = chosen.length * multiplySeconds + (rows === 1 ? matrixRows * rowSeconds : 0);
    const seconds = withoutFixed(took, fixed);
    speed.rows.push(rows);
    speed.bytesPerSecond.push((chosen.length * touched * bytes) / seconds);
    secondsPerByte = seconds / (chosen.length * touched * bytes);
    measuredRows = rows;
  }
  return speed;
}

async function chainSeconds(
  workbench: Workbench,
  clock: Clock,
  layers: readonly Pointer[],
  tokens: number,
): Promise<number> {
  using work = workbench.tensors(2 * layers.length + 1);
  const input = work.make("F32", [hidden, expertsUsed, tokens]);
  const ids = layers.map(() => work.make("I32", [expertsUsed, tokens]));
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
        for (let at = 0; at < chosen.length; at++)
          chosen[at] = (at + expertsUsed * (repetition + layer)) % experts;
        target.set(new Uint8Array(chosen.buffer));
      });
    }
  };
  return await clock.time(() => workbench.compute(graph), choose);
}
