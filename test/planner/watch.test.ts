import { expect, test } from "vitest";
import { SpaceWatch } from "../../src/planner/watch.js";

const GB = 1e9;
const reading = (freeBytes: number) => [{ name: "CUDA0", freeBytes }];

test("memory that another program takes is told once, with what is left", () => {
  const watch = new SpaceWatch();
  expect(watch.observe(reading(2 * GB), 0)).toEqual([]);
  expect(watch.observe(reading(1.99 * GB), 0)).toEqual([]);
  const [taken, ...others] = watch.observe(reading(0.5 * GB), 0);
  expect(others).toEqual([]);
  expect(taken).toMatchObject({ device: "CUDA0", takenBytes: 1.5 * GB, leftBytes: 0.5 * GB });
  expect(watch.observe(reading(0.5 * GB), 0)).toEqual([]);
});

test("memory that comes back and goes again is told again", () => {
  const watch = new SpaceWatch();
  for (const free of [2 * GB, 1 * GB, 2 * GB]) watch.observe(reading(free), 0);
  expect(watch.observe(reading(1 * GB), 0)).toMatchObject([{ takenBytes: 1 * GB }]);
});

test("slow takers are told too, and a new host is no taker", () => {
  const watch = new SpaceWatch();
  let told = 0;
  for (let step = 0; step < 20; step++) told += watch.observe(reading(2 * GB - step * 10e6), 0).length;
  expect(told).toBe(2);
  expect(watch.observe(reading(0.2 * GB), 1)).toEqual([]);
});
