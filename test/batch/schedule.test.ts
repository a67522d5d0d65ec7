import fc from "fast-check";
import { expect, it } from "vitest";
import { Schedule } from "../../src/batch/schedule.js";

interface Item {
  name: number;
  tokens: Int32Array;
  expectedTokens: number;
}

/** A prompt of a family: `shared` tokens of it, then its own. */
function item(name: number, family: number, shared: number, expectedTokens: number): Item {
  const tokens = Int32Array.from({ length: shared + 8 }, (_, place) =>
    place < shared ? family * 1000 + place : 1e6 + name * 10 + place,
  );
  return { name, tokens, expectedTokens };
}

const wide = { mostRequests: 100, mostTokens: 1e6 };

it("takes each request once, and the longest first where nothing is shared", () => {
  const schedule = new Schedule<Item>(wide);
  for (const [name, expected] of [5, 9, 1, 7].entries()) schedule.add(item(name, name, 0, expected));
  expect(Array.from({ length: 5 }, () => schedule.take()?.expectedTokens)).toEqual([9, 7, 5, 1, undefined]);
});

it("brings those with a common beginning together, the largest group first, the longest first in it", () => {
  const schedule = new Schedule<Item>(wide);
  const families = [0, 1, 0, 2, 0, 1];
  for (const [name, family] of families.entries()) schedule.add(item(name, family, 100, name));
  const taken = families.map(() => schedule.take()!);
  expect(taken.map(({ name }) => families[name])).toEqual([0, 0, 0, 1, 1, 2]);
  expect(taken.slice(0, 3).map(({ name }) => name)).toEqual([4, 2, 0]);
});

it("follows the deepest common beginning", () => {
  const schedule = new Schedule<Item>(wide);
  // All begin with one system prompt of 40 tokens; two of them also share examples.
  const system = Array.from({ length: 40 }, (_, place) => place);
  const make = (name: number, example: number) => ({
    ...{ name, expectedTokens: name === 0 ? 100 : 1 },
    tokens: Int32Array.from([...system, ...new Array<number>(200).fill(example), name]),
  });
  for (const [name, example] of [7, 8, 9, 7].entries()) schedule.add(make(name, 1000 + example));
  expect([schedule.take()!.name, schedule.take()!.name]).toEqual([0, 3]);
});

it("lets none be overtaken for ever", () => {
  const schedule = new Schedule<Item>({ mostRequests: 10, mostTokens: 1e6 });
  schedule.add(item(-1, 99, 0, 0));
  let takes = 0;
  for (let name = 0; ; name++) {
    while (!schedule.isFull) schedule.add(item(name, 1, 100, 50));
    takes++;
    if (schedule.take()!.name === -1) break;
  }
  expect(takes).toBeLessThanOrEqual(22);
});

it("is full by requests and by tokens", () => {
  const byTokens = new Schedule<Item>({ mostRequests: 100, mostTokens: 20 });
  byTokens.add(item(0, 0, 8, 1));
  expect(byTokens.isFull).toBe(false);
  byTokens.add(item(1, 0, 8, 1));
  expect(byTokens.isFull).toBe(true);
  byTokens.take();
  expect(byTokens.isFull).toBe(false);
  expect(byTokens.size).toBe(1);
});

it("loses and repeats none, whatever is added when", () => {
  const moves = fc.array(
    fc.option(fc.record({ family: fc.nat(3), shared: fc.nat(200), expected: fc.nat(50) }), {
      nil: undefined,
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(moves, (given) => {
      const schedule = new Schedule<Item>({ mostRequests: 8, mostTokens: 4000 });
      const left = new Set<number>();
      const takeOne = (take: () => Item | undefined) => {
        const taken = take();
        if (left.size === 0) expect(taken).toBeUndefined();
        else expect(left.delete(taken!.name)).toBe(true);
      };
      for (const [name, move] of given.entries()) {
        if (!move) takeOne(() => (name % 5 === 0 ? schedule.takeOldest() : schedule.take()));
        else {
          schedule.add(item(name, move.family, move.shared, move.expected));
          left.add(name);
        }
        expect(schedule.size).toBe(left.size);
      }
      while (left.size > 0) takeOne(() => schedule.take());
      expect(schedule.take()).toBeUndefined();
    }),
    { numRuns: 200 },
  );
});
