import { beforeAll, expect, it } from "vitest";
import { type MixName, needsImportanceMatrix } from "../../src/quantize/mixes.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { differencesFromNative, type EqualityCase, madeUpImportance } from "./equality.js";
import { quantisedShapes, writeQuantisable } from "./models.js";

const temporary = temporaryFolder();
const inputs = new Map<string, { path: string; importance: NonNullable<EqualityCase["importance"]> }>();

beforeAll(async () => {
  for (const [at, [name, config]] of Object.entries(quantisedShapes).entries()) {
    const path = temporary.path(`${name}.gguf`);
    const tensors = await writeQuantisable(path, config, (["F16", "BF16", "F32"] as const)[at % 3]!);
    inputs.set(name, {
      path,
      importance: await madeUpImportance(temporary.path(`${name}-imatrix.gguf`), tensors),
    });
  }
});

/** All mixes are compared by bench/quantise-equality.ts: here those that take little time, and each rule once. */
const mixesOf: Record<string, MixName[]> = {
  grouped: ["Q4_K_M", "Q3_K_L"],
  tied: ["IQ2_XXS", "Q4_0", "Q2_0"],
  "8 experts": ["Q4_K_M", "MXFP4_MOE"],
  falcon: ["Q3_K_M", "TQ1_0", "BF16"],
  "odd rows": ["Q4_K_S", "IQ4_NL", "F32"],
};

it.each(Object.keys(quantisedShapes))(
  "quantised files are those of llama.cpp, byte for byte: %s",
  async (name) => {
    const { path: input, importance } = inputs.get(name)!;
    const cases: EqualityCase[] = mixesOf[name]!.flatMap((mix) => [
      ...(needsImportanceMatrix(mix) ? [] : [{ input, mix }]),
      ...(mix === mixesOf[name]![0] ? [{ input, mix, importance }] : []),
    ]);
    const differences = await differencesFromNative(temporary.path, cases);
    for (const [at, { mix, importance: matrix }] of cases.entries())
      expect(differences[at], `${mix}${matrix ? " with a matrix" : ""}`).toBe("");
  },
);

it("so are those with types of a person's choice", async () => {
  const grouped = inputs.get("grouped")!.path;
  const tied = inputs.get("tied")!.path;
  const wished = { tensorTypes: [{ pattern: "blk\\.[0-3]\\..*ffn_(up|gate)", type: "Q5_0" as const }] };
  const cases: EqualityCase[] = [
    { input: grouped, mix: "Q4_K_M", wishes: wished },
    { input: grouped, mix: "Q3_K_M", wishes: { pure: true } },
    { input: grouped, mix: "Q4_0", wishes: { outputType: "Q8_0", embeddingType: "Q5_K" } },
    { input: tied, mix: "Q4_K_M", wishes: { outputType: "Q5_1" } },
  ];
  expect(await differencesFromNative(temporary.path, cases)).toEqual(cases.map(() => ""));
});
