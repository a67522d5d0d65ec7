import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { openLegacyGgml } from "../../../src/convert/legacy/open.js";
import { Engine } from "../../../src/engine/engine.js";
import { simplePlan } from "../../../src/plan/plan.js";
import { compute, cpu } from "../../engine/harness.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { fixturePrompt, legacyFixtures } from "./fixtures.js";
import { contentsOf, digestsOf, writeAsGguf } from "./rows.js";

const folder = temporaryFolder();
const fixtures = legacyFixtures();

async function put(name: string): Promise<string> {
  for (const [file, { bytes }] of fixtures)
    if (file === name || file === `${name}.1`) await writeFile(folder.path(file), bytes);
  return folder.path(name);
}

const contents = async (name: string, exact = false) =>
  digestsOf(await contentsOf(await openLegacyGgml(await put(name), { exact })));

describe("files of the original programs", () => {
  const withTokens = [...fixtures.values()].filter(({ tokens }) => tokens);

  it.each(withTokens)("$file: the engine continues as the original program did", async ({ file, tokens }) => {
    const path = folder.path(`${file}.gguf`);
    await writeAsGguf(await openLegacyGgml(await put(file), { rmsEpsilon: 1e-6 }), path);
    expect(await greedy(path, tokens!.length)).toEqual(tokens);
  });

  it("give the tokens of the original where they are opened exactly, too", async () => {
    const path = folder.path("exact.gguf");
    await writeAsGguf(await openLegacyGgml(await put("alpaca-q4_0.bin"), { exact: true }), path);
    const { tokens } = fixtures.get("alpaca-q4_0.bin")!;
    expect(await greedy(path, tokens!.length)).toEqual(tokens);
  });

  it("become the very bytes that the program of a week later made of the same weights", async () => {
    const [before, after] = [await contents("ggjt2-q4_0.bin"), await contents("ggjt3-q4_0.bin")];
    expect(before["output.weight"]).toMatch(/^Q4_0 /);
    expect(before).toEqual(after);
  });

  it.each([false, true])("are the same with scales first and in blocks (exact: %s)", async (exact) => {
    expect(await contents("first-q4_0.bin", exact)).toEqual(await contents("alpaca-q4_0.bin", exact));
    expect(await contents("alpaca-q4_1.bin", exact)).toEqual(await contents("march17-q4_1.bin", exact));
    expect(await contents("ggmf-q4_0.bin", exact)).toEqual(await contents("alpaca-q4_0.bin", exact));
  });

  it("say what they are", async () => {
    const formats = new Map<string, string>();
    for (const file of fixtures.keys()) {
      if (file.endsWith(".1")) continue;
      const model = await openLegacyGgml(await put(file));
      formats.set(file, model.format);
      await model.close();
    }
    expect(Object.fromEntries(formats)).toEqual({
      "ggmf-q4_0.bin": "GGML of 2023 (ggmf v1)",
      "first-q4_0.bin": "GGML of 2023 (ggml, scales first)",
      "alpaca-q4_0.bin": "GGML of 2023 (ggml)",
      "alpaca-q4_1.bin": "GGML of 2023 (ggml, scales first)",
      "march17-q4_1.bin": "GGML of 2023 (ggml)",
      "parts-q4_0.bin": "GGML of 2023 (ggmf v1), 2 parts",
      "ggjt1-q4_2.bin": "GGML of 2023 (ggjt v1)",
      "ggjt1-q5_1.bin": "GGML of 2023 (ggjt v1)",
      "ggjt2-q4_0.bin": "GGML of 2023 (ggjt v2)",
      "ggjt3-q4_0.bin": "GGML of 2023 (ggjt v3)",
    });
  });
});

/** The engine's own choice after the fixtures' prompt. Token 1 has no text, so the original's text does not show it. */
async function greedy(modelPath: string, count: number): Promise<number[]> {
  const settings = { threads: 1, contextLength: 128, microBatch: 64, loadMode: "read" as const };
  const engine = await Engine.open(simplePlan({ modelPath, ...settings }), cpu);
  try {
    const chosen: number[] = [];
    let next = Int32Array.from(fixturePrompt);
    for (let position = 0; chosen.length < count; ) {
      const result = await compute(engine, { position, tokens: next });
      position += next.length;
      next = result.chosen[0]!.slice();
      if (next[0] !== 1) chosen.push(next[0]!);
      if (position > 60) break;
    }
    return chosen;
  } finally {
    await engine.close();
  }
}
