import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Canvas, shares } from "../../src/cli/plan-bars.js";
import { formatDuration, formatSpeed, oneLine, usedBytes } from "../../src/cli/plan-format.js";
import { flagLines, planPicture } from "../../src/cli/plan-picture.js";
import type { ModelPlan } from "../../src/plan/model-plan.js";
import { formatBytes } from "../../src/units.js";
import {
  gptOssOn64,
  llama3bOnCpu,
  llama70bOn32,
  llama70bOn64,
  llama70bOnTwoCards,
} from "../fixtures/plans/plans.js";

const golden = (name: string) => fileURLToPath(new URL(`../fixtures/plans/${name}.txt`, import.meta.url));
const plain = (width: number): Canvas => ({ width, colours: false, paint: (_, text) => text });
const examples: [name: string, plan: ModelPlan][] = [
  ["llama-2-70b-on-64-gb", llama70bOn64()],
  ["llama-2-70b-on-32-gb", llama70bOn32()],
  ["gpt-oss-120b-on-64-gb", gptOssOn64()],
  ["llama-3b-on-cpu", llama3bOnCpu()],
  ["llama-2-70b-on-two-cards", llama70bOnTwoCards()],
];

describe("the picture of a plan", () => {
  it.each(examples)("of %s is as it was", async (name, plan) => {
    await expect(`${planPicture(plan, plain(80)).join("\n")}\n`).toMatchFileSnapshot(golden(name));
  });

  it("is as it was at 60 columns", async () => {
    const text = `${planPicture(gptOssOn64(), plain(60)).join("\n")}\n`;
    await expect(text).toMatchFileSnapshot(golden("gpt-oss-120b-on-64-gb.60-columns"));
  });

  describe("in French", () => {
    afterEach(() => {
      vi.unstubAllEnvs();
      vi.resetModules();
    });

    it.each(examples.slice(0, 3))("of %s is as it was", async (name, plan) => {
      vi.stubEnv("LC_ALL", "fr_FR.UTF-8");
      vi.resetModules();
      const french = await import("../../src/cli/plan-picture.js");
      const { oneLine: line } = await import("../../src/cli/plan-format.js");
      const text = [...french.planPicture(plan, plain(80)), "", line(plan), ""].join("\n");
      await expect(text).toMatchFileSnapshot(golden(`${name}.fr`));
    });
  });

  it.each([60, 73, 80, 100, 120])("keeps to %i columns but for options of llama.cpp", (width) => {
    for (const [name, plan] of examples) {
      const options = new Set(flagLines(plan.llamaCppFlags, width));
      for (const line of planPicture(plan, plain(width))) {
        if (!options.has(line)) expect(line.length, `${name}: ${line}`).toBeLessThanOrEqual(width);
      }
    }
  });

  it("has a cell for every layer, of the device that holds it", () => {
    const lines = planPicture(llama70bOnTwoCards(), plain(80));
    const cells = lines.map((line) => /^ {2}all {2}([01.~]+)$/.exec(line)?.[1] ?? "").join("");
    expect(cells).toBe(`${".".repeat(20)}${"0".repeat(20)}${"1".repeat(40)}`);
  });

  it("shows where a cache is apart from its layer's attention", () => {
    const plan = llama70bOn64();
    const kvOn = plan.settings.kvOn.map((place, layer) => (layer < 7 ? "host" : place));
    const lines = planPicture({ ...plan, settings: { ...plan.settings, kvOn } }, plain(120));
    expect(lines).toContain(`  KV cache      ${".".repeat(7)}${"0".repeat(73)}`);
    expect(lines).toContain(`  attention     ${"0".repeat(80)}`);
  });

  it("counts in RAM what devices take that share it", () => {
    const plan = llama70bOn64();
    const [card] = plan.devices;
    const shared: ModelPlan = { ...plan, devices: [{ ...card!, sharesRam: true }] };
    const lines = planPicture(shared, plain(80));
    const ram = (plan.host.plannedBytes + card!.plannedBytes) / 1e9;
    expect(lines.find((line) => line.startsWith("RAM"))).toContain(`${ram.toFixed(1)} of 56.0 GB`);
    expect(lines.find((line) => line.includes("used by devices"))).toContain(formatBytes(card!.plannedBytes));
    expect(oneLine(shared)).toContain(`${ram.toFixed(1)} of 56.0 GB RAM`);
  });

  it("is drawn in blocks of colours on a terminal that has them", () => {
    const painted = planPicture(gptOssOn64(), {
      width: 80,
      colours: true,
      paint: (style, text) => `<${style}>${text}</>`,
    });
    const bar = painted.find((line) => line.startsWith("[<"))!;
    expect(bar.match(/<greenBright>█<\/>/g)!.length).toBeGreaterThan(30);
    expect(bar.replace(/<[^>]*>/g, "")).toHaveLength(80);
    expect(painted).toContainEqual(expect.stringMatching(/^ {2}<greenBright>█<\/> {2}experts +7\.90 GB/));
  });

  it("shows no control characters of what it is told", () => {
    const plan = llama3bOnCpu();
    const source = "a\u001b[2Jb.gguf";
    const picture = planPicture({ ...plan, model: { ...plan.model, source } }, plain(80));
    expect(picture[0]).toBe("a�[2Jb.gguf");
  });
});

describe("the parts of a bar", () => {
  it("have a cell where they are anything, and fill what they take", () => {
    const sizes = fc.array(fc.oneof(fc.constant(0), fc.nat({ max: 1000 }), fc.nat({ max: 2 ** 36 })), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(
        sizes,
        fc.nat({ max: 2 ** 36 }),
        fc.integer({ min: 57, max: 118 }),
        (parts, free, count) => {
          const used = parts.reduce((sum, part) => sum + part, 0);
          const cells = shares(parts, used + free, count);
          const drawn = cells.reduce((sum, cell) => sum + cell, 0);
          expect(drawn).toBeLessThanOrEqual(count);
          parts.forEach((part, index) => {
            expect(cells[index]! > 0).toBe(part > 0);
            expect(Math.abs(cells[index]! - (part / Math.max(1, used + free)) * count)).toBeLessThanOrEqual(
              parts.length + 1,
            );
          });
          if (free === 0 && used > 0) expect(drawn).toBe(count);
        },
      ),
    );
  });
});

describe("one line about a plan", () => {
  it("says memory, context and speed", () => {
    expect(oneLine(llama70bOn64())).toBe(
      "11.46 of 11.50 GB VRAM · 32.2 of 56.0 GB RAM · 4,096 tokens · about 1.2 tokens/s",
    );
    expect(oneLine(llama3bOnCpu())).toBe("4.37 of 10.09 GB RAM · 8 × 4,096 tokens · about 46.2 tokens/s");
    expect(oneLine(llama70bOnTwoCards())).toMatch(
      /^10\.92 of 11\.50 GB CUDA0 · 22\.1 of 24\.0 GB CUDA1 · 11\.1 of 56\.0 GB RAM · /,
    );
  });
});

describe("figures", () => {
  it.each([
    [11_470_000_000, 11_500_000_000, "11.47 of 11.50 GB"],
    [38_900_000_000, 56_000_000_000, "38.9 of 56.0 GB"],
    [0, 2_000_000_000, "0.00 of 2.00 GB"],
    [3_000_000_000, 900_000_000, "3.00 of 0.90 GB"],
    [1_260_000, 512_000_000, "1.3 of 512.0 MB"],
    [0, 0, "0 of 0 B"],
  ])("%i of %i bytes are %s", (plannedBytes, budgetBytes, text) => {
    expect(usedBytes({ plannedBytes, budgetBytes })).toBe(text);
  });

  it("have as many digits as they deserve", () => {
    expect([0.123, 4.06, 41.26, 99.96, 1523.4].map(formatSpeed)).toEqual([
      "0.12",
      "4.1",
      "41.3",
      "100",
      "1,523",
    ]);
    expect([12.4, 999.6, 4020, 182_000].map(formatDuration)).toEqual(["12 ms", "1.0 s", "4.0 s", "182 s"]);
    expect([917, 1500, 512e6, 11.47e9, 3e12].map(formatBytes)).toEqual([
      "917 B",
      "1.5 kB",
      "512.0 MB",
      "11.47 GB",
      "3.00 TB",
    ]);
  });
});

describe("llama.cpp's options in lines", () => {
  it("are broken between options only, so that a shell reads the same", () => {
    const flags = "-ngl 5 -ot 'blk\\.1 -x=CPU' --lora 'it'\\''s a.gguf' -c 4096 -np 1 -t 6";
    const lines = flagLines(flags, 30);
    expect(lines).toEqual([
      "  -ngl 5 -ot 'blk\\.1 -x=CPU' \\",
      "  --lora 'it'\\''s a.gguf' \\",
      "  -c 4096 -np 1 -t 6",
    ]);
    expect(lines.join("\n").replaceAll(" \\\n ", "").trim()).toBe(flags);
    expect(flagLines("", 80)).toEqual([]);
  });
});
