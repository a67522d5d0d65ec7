import { expect, it } from "vitest";
import { alternativesOf } from "../../src/plan/alternatives.js";
import { layoutOf } from "../../src/plan/layout.js";
import { solve } from "../../src/plan/solve.js";
import { deviceOf, machineFacts, machineOf, small, sourceOfShape } from "./machines.js";

const layout = layoutOf(sourceOfShape(small));
const feedForward = layout.layers
  .flat()
  .filter(({ stage, isMatrix }) => isMatrix && stage.startsWith("feed"));

/** The ways offered where feed-forward matrices are to be on the device. */
async function kindsWith(budgets: { host: number; devices: number[] }): Promise<string[]> {
  const pinned = new Map(feedForward.map(({ index }) => [index, 0]));
  const machine = machineOf(machineFacts([deviceOf("CUDA0", 10, 8e9)]), budgets, { pinned });
  const request = { layout, machine, objective: "chat" as const, wishes: { contextLength: 2048 } };
  const solved = await solve(request);
  expect(Math.max(...solved.fitted.over)).toBeGreaterThan(0);
  return (await alternativesOf(request, solved, [])).map(({ kind }) => kind);
}

it("offers to read from the disk what RAM lacks, and not what a device lacks", async () => {
  const ofDevice = await kindsWith({ host: 4e9, devices: [2e6] });
  expect(ofDevice).toContain("memory");
  expect(ofDevice).not.toContain("disk");
  // Of 103.4 MB in RAM, 2.4 are weights.
  expect(await kindsWith({ host: 102e6, devices: [8e9] })).toContain("disk");
  // The KV cache, the compute buffer and the runtime have to be in RAM.
  expect(await kindsWith({ host: 1e6, devices: [8e9] })).not.toContain("disk");
});
