import type { RowsSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import type { GraphFunctions } from "../native/graph.js";
import type { Clock } from "./calibration-clock.js";
import { longGraphNodes, type Tensors, type Workbench } from "./calibration-workbench.js";

/** An operation that treats each row by itself. */
interface RowOperation {
  /** Row lengths as models have them. */
  lengths: readonly [short: number, long: number];
  /** Rows of a token. */
  heads: number;
  /** Of a state: a kernel's workgroups go by its dimensions, so they are those that models have. */
  shape(length: number, tokens: number): readonly number[];
  /** What follows on a state. */
  apply(functions: GraphFunctions, work: Tensors, state: Pointer, operands: Operands): Pointer;
}

interface Operands {
  /** Of a row. */
  length: number;
  weights: Pointer;
  /** Of the tokens. */
  positions: Pointer;
}

const norm: RowOperation = {
  lengths: [512, 2048],
  heads: 1,
  shape: (length, tokens) => [length, tokens],
  // Backends compute both at once.
  apply: (functions, work, state, { weights }) =>
    functions.multiplyElements(work.context, functions.rmsNorm(work.context, state, 1e-5), weights),
};
const heads = 4;
const rope: RowOperation = {
  lengths: [64, 128],
  heads,
  shape: (length, tokens) => [length, heads, tokens],
  apply: (functions, work, state, { positions, length }) =>
    functions.rope(work.context, state, positions, null, length, 0, 0, 10_000, 1, 0, 1, 32, 1),
};

/** Of a prompt. */
const manyTokens = 64;
/**
 * Lengths of chains, whose difference in time is without what a graph costs: of one token, as long as where a device has
 * whole layers; of a prompt, as short as where weights are streamed (see `longGraphNodes`).
 */
const chains = { one: [longGraphNodes, 4 * longGraphNodes], many: [2, 8] } as const;

/**
 * Measures norms and RoPE, which cost by rows more than by bytes where a kernel lends a workgroup to each row, however
 * short it is. What a processor cannot compute is left out.
 */
export async function rowSpeeds(
  workbench: Workbench,
  clock: Clock,
): Promise<{ norm?: RowsSpeed; rope?: RowsSpeed }> {
  const normSpeed = await rowsSpeed(workbench, clock, norm);
  const ropeSpeed = await rowsSpeed(workbench, clock, rope);
  return { ...(normSpeed && { norm: normSpeed }), ...(ropeSpeed && { rope: ropeSpeed }) };
}

async function rowsSpeed(
  workbench: Workbench,
  clock: Clock,
  operation: RowOperation,
): Promise<RowsSpeed | undefined> {
  const [short, long] = operation.lengths;
  const seconds = async (length: number, tokens: number) => {
    const [few, many] = chains[tokens === 1 ? "one" : "many"];
    const fewSeconds = await chainSeconds(workbench, clock, operation, { length, tokens, count: few });
    if (fewSeconds === undefined) return undefined;
    const manySeconds = await chainSeconds(workbench, clock, operation, { length, tokens, count: many });
    return Math.max(0, manySeconds! - fewSeconds) / (many - few);
  };
  const one = await seconds(short, 1);
  if (one === undefined) return undefined;
  const more = (await seconds(short, manyTokens))!;
  const longer = (await seconds(long, manyTokens))!;
  return rowsSpeedOf({ one, more, longer }, { short, long, heads: operation.heads, tokens: manyTokens });
}

/** What rows and their elements take, from the times of one token's short rows, of many tokens', and of as many long ones. */
export function rowsSpeedOf(
  { one, more, longer }: { one: number; more: number; longer: number },
  { short, long, heads, tokens }: { short: number; long: number; heads: number; tokens: number },
): RowsSpeed {
  const shortRow = Math.max(0, more - one) / (heads * (tokens - 1));
  // Long rows that took more than their elements' share were measured in a slower moment.
  const elementSeconds = Math.min(
    Math.max(0, longer - more) / (heads * tokens * (long - short)),
    shortRow / short,
  );
  return {
    seconds: Math.max(0, one - heads * shortRow),
    rowSeconds: shortRow - short * elementSeconds,
    elementSeconds,
  };
}

/** Undefined where the processor has no such operation. */
async function chainSeconds(
  workbench: Workbench,
  clock: Clock,
  operation: RowOperation,
  { length, tokens, count }: { length: number; tokens: number; count: number },
): Promise<number | undefined> {
  const { functions } = workbench;
  using work = workbench.tensors(2 * count + 3);
  const input = work.make("F32", operation.shape(length, tokens));
  const operands = { length, weights: work.make("F32", [length]), positions: work.make("I32", [tokens]) };
  let state = input;
  for (let index = 0; index < count; index++) state = operation.apply(functions, work, state, operands);
  if (!functions.supports(workbench.device, state)) return undefined;
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  await workbench.fill(operands.weights, "F32");
  await workbench.write(operands.positions, (target) => target.set(positionBytes(tokens)));
  return await clock.time(() => workbench.compute(graph));
}

function positionBytes(count: number): Uint8Array {
  return new Uint8Array(Int32Array.from({ length: count }, (_, position) => position).buffer);
}
