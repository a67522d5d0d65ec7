/** A type that a tensor may have: what it takes, and what it loses. */
export interface Choice {
  /** Bytes of the tensor in the file, padding included. */
  bytes: number;
  /** Anything that adds up over tensors; not negative. */
  loss: number;
}

export interface Mixture {
  /** For each tensor the index of its choice. */
  chosen: number[];
  bytes: number;
  loss: number;
}

/** Entries of the table of choices, a byte each: bounded memory, and about two seconds for the largest models. */
const tableEntries = 2 ** 26;
/** Most sizes that are told apart. */
const mostSteps = 2 ** 18;

/**
 * Chooses for each tensor one of its choices so that all together take at most `budget` bytes and lose least: a
 * multiple-choice knapsack, solved by dynamic programming over what each tensor takes beyond its smallest choice. Exact
 * where the sizes have a large common divisor, as those of models do; else sizes are rounded up to steps of a
 * 2¹⁸th of the whole, which leaves about a thousandth of the budget unused. The steps do not depend on the budget, so
 * that more bytes never lead to more loss. Of equal losses the smaller choice is taken, of equal choices the first.
 *
 * Undefined where even the smallest choices take more than the budget. RangeError for a tensor without a choice.
 */
export function cheapestMixture(
  tensors: readonly (readonly Choice[])[],
  budget: number,
): Mixture | undefined {
  const useful = tensors.map(usefulChoices);
  const least = useful.reduce((sum, choices) => sum + choices[0]!.bytes, 0);
  if (least > budget) return undefined;
  const step = stepOf(useful);
  const costs = useful.map((choices) =>
    choices.map(({ bytes }) => Math.ceil((bytes - choices[0]!.bytes) / step)),
  );
  const most = costs.reduce((sum, cost) => sum + cost.at(-1)!, 0);
  const steps = Math.min(most, Math.floor((budget - least) / step));
  const picked = solve(useful, costs, steps);
  const chosen = picked.map((pick, tensor) => useful[tensor]![pick]!.index);
  const sum = (of: (choice: Choice) => number) =>
    chosen.reduce((total, choice, tensor) => total + of(tensors[tensor]![choice]!), 0);
  return { chosen, bytes: sum(({ bytes }) => bytes), loss: sum(({ loss }) => loss) };
}

interface UsefulChoice extends Choice {
  index: number;
}

/** Choices that no other beats in both, smallest first: each loses less than the one before. */
function usefulChoices(choices: readonly Choice[]): UsefulChoice[] {
  if (choices.length === 0) throw new RangeError("a tensor needs a choice");
  const rising = choices
    .map((choice, index) => ({ ...choice, index }))
    .sort((a, b) => a.bytes - b.bytes || a.loss - b.loss || a.index - b.index);
  const kept: UsefulChoice[] = [];
  for (const choice of rising) {
    const before = kept.at(-1);
    if (!before || choice.loss < before.loss) kept.push(choice);
  }
  return kept;
}

/** What sizes are counted in: their greatest common divisor, or more where that makes too many steps. */
function stepOf(tensors: readonly (readonly UsefulChoice[])[]): number {
  let divisor = 0;
  let total = 0;
  for (const choices of tensors) {
    for (const { bytes } of choices) divisor = greatestCommonDivisor(divisor, bytes - choices[0]!.bytes);
    total += choices.at(-1)!.bytes - choices[0]!.bytes;
  }
  const limit = Math.max(1, Math.min(mostSteps, Math.floor(tableEntries / Math.max(1, tensors.length))));
  return Math.max(1, divisor, total / limit);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The choice of each tensor that makes the sum of losses least, at a cost of at most `steps`. */
function solve(
  tensors: readonly (readonly UsefulChoice[])[],
  costs: readonly (readonly number[])[],
  steps: number,
): number[] {
  // before[s]: the least loss of the tensors so far at a cost of at most s.
  let before = new Float64Array(steps + 1);
  let after = new Float64Array(steps + 1);
  const table: Uint8Array[] = [];
  for (const [tensor, choices] of tensors.entries()) {
    const picks = new Uint8Array(steps + 1);
    after.fill(Number.POSITIVE_INFINITY);
    for (const [pick, { loss }] of choices.entries()) {
      const cost = costs[tensor]![pick]!;
      for (let at = cost; at <= steps; at++) {
        const total = before[at - cost]! + loss;
        if (total < after[at]!) {
          after[at] = total;
          picks[at] = pick;
        }
      }
    }
    table.push(picks);
    [before, after] = [after, before];
  }
  const picked = new Array<number>(tensors.length);
  let left = steps;
  for (let tensor = tensors.length - 1; tensor >= 0; tensor--) {
    picked[tensor] = table[tensor]![left]!;
    left -= costs[tensor]![picked[tensor]!]!;
  }
  return picked;
}
