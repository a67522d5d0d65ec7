import { beforeAll, expect, it } from "vitest";
import { type MixName, needsImportanceMatrix } from "../../src/quantize/mixes.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { differencesFromNative, type EqualityCase, writeImportance } from "./equality.js";
import { quantisedShapes, randomNumbers, writeQuantisable } from "./models.js";

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
  grouped: ["Q4_K_M", "Q3_K_L", "IQ4_XS", "Q8_0", "BF16", "Q2_K_S"],
  tied: ["Q4_0", "Q5_K_S", "IQ3_S", "F32", "Q2_0"],
  "8 experts": ["Q4_K_M", "MXFP4_MOE", "IQ2_XXS"],
  falcon: ["Q3_K_M", "Q5_1", "TQ1_0", "F16", "Q1_0"],
  "odd rows": ["Q4_K_S", "Q6_K", "IQ3_XXS", "IQ4_NL"],
};

it.each(Object.keys(quantisedShapes))(
  "quantised files are those of llama.cpp, byte for byte: %s",
  async (name) => {
    const { path: input, importance } = inputs.get(name)!;
    const cases: EqualityCase[] = mixesOf[name]!.flatMap((mix) => [
      ...(needsImportanceMatrix(mix) ? [] : [{ input, mix }]),
      ...(["F32", "F16", "BF16", "Q8_0"].includes(mix) ? [] : [{ input, mix, importance }]),
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

/** Importance of all matrices but a few, with experts that no text has reached. */
export async function madeUpImportance(
  path: string,
  tensors: readonly { name: string; shape: readonly number[] }[],
): Promise<NonNullable<EqualityCase["importance"]>> {
  const random = randomNumbers(7);
  const entries = tensors
    .filter(({ name, shape }) => shape.length > 1 && !/token_embd|ffn_gate_inp/.test(name))
    .map(({ name, shape }) => ({
      name,
      sums: Float32Array.from({ length: shape[0]! * (shape[2] ?? 1) }, () => random() ** 4 * 50),
      counts: Float32Array.from({ length: shape[2] ?? 1 }, (_, expert) => (expert === 1 ? 0 : 3 + expert)),
    }));
  await writeImportance(path, entries);
  const values = entries.map(({ name, sums, counts }) => ({
    name,
    values: Array.from(sums, (sum, at) => {
      const count = counts[Math.floor(at / (sums.length / counts.length))]!;
      return count > 0 ? Math.fround(sum / count) : 1;
    }),
  }));
  return { path, values };
}
