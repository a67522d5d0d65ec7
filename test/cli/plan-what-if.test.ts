import { describe, expect, it } from "vitest";
import { type Cell, whatIf, whatIfTables } from "../../src/cli/what-if.js";
import type { ModelPlan } from "../../src/plan/model-plan.js";
import { llama70bOn64 } from "../fixtures/plans/plans.js";

const example = llama70bOn64();
const bytesPer: Record<string, number> = { Q2_K: 25.5, Q3_K_M: 33.2, Q5_K_M: 48.8, Q6_K: 56.6, Q8_0: 73.3 };

/** A planner by rule: everything up to 60 GB fits; a larger card holds more. */
function planner(own: Partial<ModelPlan["model"]> = {}) {
  const asked: Cell[] = [];
  const planCell = async (cell: Cell): Promise<ModelPlan> => {
    asked.push(cell);
    const bytes = (cell.mix ? bytesPer[cell.mix]! : 41.4) * 1e9;
    const missing = Math.max(0, bytes + cell.contextLength! * 2e5 - 60e9);
    const [card] = example.devices;
    const weights = Math.min(cell.cardBytes ?? 10e9, bytes);
    return {
      ...example,
      model: { ...example.model, trainedContextLength: 32768, bytes, fileType: "Q4_K_M", ...own },
      devices: [{ ...card!, breakdown: { ...card!.breakdown, weights } }],
      host: { ...example.host, breakdown: { ...example.host.breakdown, weights: bytes - weights } },
      fits: missing === 0,
      shortfalls:
        missing === 0
          ? []
          : [{ device: "host", neededBytes: missing, budgetBytes: 0, missingBytes: missing }],
      predicted: { ...example.predicted, decodeTokensPerSecond: 40e9 / (bytes - weights + 1e9) },
    };
  };
  return { asked, planCell };
}

describe("what if", () => {
  it("plans all types and contexts once, and the model's own as it is", async () => {
    const { asked, planCell } = planner();
    const seen: number[] = [];
    const rows = await whatIf({}, planCell, (done) => seen.push(done));
    expect(rows.map(({ type, contextLength }) => `${type} ${contextLength}`)).toEqual(
      ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"].flatMap((type) =>
        [2048, 8192, 32768].map((length) => `${type} ${length}`),
      ),
    );
    expect(asked).toHaveLength(18);
    expect(asked.filter(({ mix }) => mix === undefined).map(({ contextLength }) => contextLength)).toEqual([
      2048, 8192, 32768,
    ]);
    expect(asked.some(({ mix }) => mix === "Q4_K_M")).toBe(false);
    expect(seen.at(-1)).toBe(17);
    expect(rows[0]).toEqual({
      type: "Q2_K",
      contextLength: 2048,
      cardBytes: null,
      modelBytes: 25_500_000_000,
      fits: true,
      missingBytes: 0,
      deviceShare: 10 / 25.5,
      devices: [
        { name: "CUDA0", plannedBytes: example.devices[0]!.plannedBytes, budgetBytes: 11_500_000_000 },
      ],
      host: { plannedBytes: example.host.plannedBytes, budgetBytes: 56_000_000_000 },
      prefillTokensPerSecond: 152.4,
      decodeTokensPerSecond: 40 / 16.5,
      limitedBy: "host-memory",
    });
    expect(rows.at(-1)).toMatchObject({
      fits: false,
      missingBytes: 73.3e9 + 32768 * 2e5 - 60e9,
      limitedBy: null,
    });
  });

  it("keeps to what the model was trained for, and to what the person fixed", async () => {
    const short = planner({ trainedContextLength: 4096, fileType: "F16" });
    const rows = await whatIf({}, short.planCell);
    expect([...new Set(rows.map(({ contextLength }) => contextLength))]).toEqual([2048, 4096]);
    expect(new Set(rows.map(({ type }) => type))).toContain("F16");
    const tiny = planner({ trainedContextLength: 512 });
    expect((await whatIf({ type: "Q2_K" }, tiny.planCell)).map(({ contextLength }) => contextLength)).toEqual(
      [512],
    );
    const fixed = await whatIf({ type: "Q6_K", contextLength: 5000 }, planner().planCell);
    expect(fixed.map(({ type, contextLength }) => [type, contextLength])).toEqual([["Q6_K", 5000]]);
    const own = await whatIf({ type: "Q6_K", contextLength: 0 }, planner().planCell);
    expect(own[0]!.contextLength).toBe(32768);
  });

  it("plans for each card, and shows a table for each", async () => {
    const { asked, planCell } = planner();
    const rows = await whatIf({ cards: [8e9, 24e9] }, planCell);
    expect(rows).toHaveLength(36);
    expect(rows[0]!.cardBytes).toBe(8e9);
    expect(rows.at(-1)!.cardBytes).toBe(24e9);
    expect(asked.every(({ cardBytes }) => cardBytes === 8e9 || cardBytes === 24e9)).toBe(true);
    expect(whatIfTables(rows)).toEqual([
      "A card of 8.00 GB, as fast as CUDA0",
      "                      2,048 tokens      8,192 tokens     32,768 tokens",
      "Q2_K    25.50 GB         31 %  2.2         31 %  2.2         31 %  2.2",
      "Q3_K_M  33.20 GB         24 %  1.5         24 %  1.5         24 %  1.5",
      "Q4_K_M  41.40 GB         19 %  1.2         19 %  1.2         19 %  1.2",
      "Q5_K_M  48.80 GB        16 %  0.96        16 %  0.96        16 %  0.96",
      "Q6_K    56.60 GB        14 %  0.81        14 %  0.81   3.15 GB missing",
      "Q8_0    73.30 GB  13.71 GB missing  14.94 GB missing  19.85 GB missing",
      "",
      ...whatIfTables(rows.slice(18)),
    ]);
  });

  it("puts cards side by side for one context length", async () => {
    const rows = await whatIf({ cards: [8e9, 24e9], contextLength: 4096 }, planner().planCell);
    expect(whatIfTables(rows).slice(0, 3)).toEqual([
      "Cards as fast as CUDA0, 4,096 tokens of context",
      "                           8.00 GB          24.00 GB",
      "Q2_K    25.50 GB         31 %  2.2        94 %  16.0",
    ]);
    expect(whatIfTables(rows)).toHaveLength(10);
  });

  it("shows speeds alone where there is no device", async () => {
    const { planCell } = planner();
    const rows = await whatIf({ type: "Q2_K" }, async (cell) => ({ ...(await planCell(cell)), devices: [] }));
    expect(whatIfTables(rows)).toEqual([
      "                2,048 tokens  8,192 tokens  32,768 tokens",
      "Q2_K  25.50 GB           2.4           2.4            2.4",
      "",
      "Tokens/s of decoding; or what is missing.",
    ]);
  });
});
