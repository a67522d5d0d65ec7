import fc from "fast-check";
import { expect, it } from "vitest";
import { InOrder } from "../../src/batch/ordered.js";

it("gives every result once, in the order of the input, as soon as those before it are there", () => {
  const order = fc.uniqueArray(fc.nat(40), { maxLength: 40 });
  fc.assert(
    fc.property(order, (arrival) => {
      const inOrder = new InOrder<{ line: string; number: number }>();
      const announced = arrival.toSorted((a, b) => a - b);
      for (const number of announced) inOrder.announce(number);
      const given: number[] = [];
      const settled = new Set<number>();
      for (const number of arrival) {
        const waits = announced.some((other) => other < number && !settled.has(other));
        expect(inOrder.mustWait(number)).toBe(waits);
        settled.add(number);
        given.push(...inOrder.settle(number, { line: "", number }).map((one) => one.number));
        const due = announced.findIndex((one) => !settled.has(one));
        expect(given).toEqual(due < 0 ? announced : announced.slice(0, due));
      }
    }),
  );
});

it("says when no more should be begun, and recovers", () => {
  const inOrder = new InOrder<{ line: string }>();
  for (let number = 0; number < 10_000; number++) inOrder.announce(number);
  for (let number = 1; !inOrder.isFull; number++) {
    expect(number).toBeLessThan(5000);
    inOrder.settle(number, { line: "x" });
  }
  expect(inOrder.settle(0, { line: "x" }).length).toBeGreaterThan(4000);
  expect(inOrder.isFull).toBe(false);
  inOrder.settle(9000, { line: "x".repeat(80 << 20) });
  expect(inOrder.isFull).toBe(true);
});
