import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { planPicture } from "../../src/cli/plan-picture.js";
import { readHardwareFile } from "../../src/hardware/profiles.js";
import { planModel } from "../../src/planner/plan-model.js";
import { exampleConfigs } from "../../src/planner/sources/examples.js";
import { sourceFromConfig } from "../../src/planner/sources/from-config.js";

vi.setConfig({ testTimeout: 300_000 });

// From headers alone, for a card that is not here: how the plans of two well-known models read.
const cases = [
  ["llama-2-70b", "Q4_K_M", "rtx-3060-12gb"],
  ["llama-2-70b", "Q3_K_M", "rtx-3060-12gb"],
  ["llama-2-70b", "Q2_K", "rtx-3060-12gb"],
  ["llama-2-70b", "Q4_K_M", "rtx-3060-12gb-32gb"],
  ["llama-2-70b", "Q3_K_M", "rtx-3060-12gb-32gb"],
  ["llama-2-70b", "Q2_K", "rtx-3060-12gb-32gb"],
  ["gpt-oss-120b", "MXFP4_MOE", "rtx-3060-12gb"],
  ["gpt-oss-120b", "MXFP4_MOE", "rtx-3060-12gb-32gb"],
] as const;

describe("the plan of", () => {
  it.each(cases)("%s at %s on %s", async (name, mix, hardware) => {
    const model = sourceFromConfig(exampleConfigs[name], { mix, name });
    const plan = await planModel({ model, budgets: {}, wishes: {}, objective: "chat", hardware });
    for (const { plannedBytes, budgetBytes } of [...plan.devices, plan.host])
      if (plan.fits) expect(plannedBytes).toBeLessThanOrEqual(budgetBytes);
    const canvas = { width: 80, colours: false, paint: (_style: unknown, text: string) => text };
    const picture = `${planPicture(plan, canvas).join("\n")}\n`;
    await expect(picture).toMatchFileSnapshot(`../fixtures/plans/examples/${name}.${mix}.${hardware}.txt`);
  });
});

it("leaves to RAM what a software device cannot bind, and asks nothing of a card", async () => {
  const folder = await mkdtemp(join(tmpdir(), "jauge-software-"));
  try {
    const model = sourceFromConfig(exampleConfigs["llama-2-70b"], { mix: "Q4_K_M" });
    const facts = await readHardwareFile("rtx-3060-12gb");
    const largestOn = async (description: string) => {
      facts.devices[0]!.description = description;
      const hardware = join(folder, "machine.json");
      await writeFile(hardware, JSON.stringify(facts));
      const plan = await planModel({ model, budgets: {}, wishes: {}, objective: "chat", hardware });
      return Math.max(...plan.placement.filter(({ on }) => on !== "host").map(({ bytes }) => bytes));
    };
    expect(await largestOn("NVIDIA GeForce RTX 3060")).toBeGreaterThan(2 ** 27);
    expect(await largestOn("llvmpipe (LLVM 15.0.6, 256 bits)")).toBeLessThanOrEqual(2 ** 27);
  } finally {
    await rm(folder, { recursive: true });
  }
});
