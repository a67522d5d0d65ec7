import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type MixName, mixNames, needsImportanceMatrix } from "../src/quantize/mixes.js";
import { differencesFromNative, type EqualityCase, madeUpImportance } from "../test/quantize/equality.js";
import { quantisedShapes, writeQuantisable } from "../test/quantize/models.js";
import { machineDescription } from "./machine.js";

/** Every mix, with and without an importance matrix, on every shape: are all bytes those of `llama_model_quantize`? */
const { values } = parseArgs({ options: { mixes: { type: "string" }, shapes: { type: "string" } } });
console.log(
  `${machineDescription(`node bench/run.mjs quantise-equality ${process.argv.slice(2).join(" ")}`.trim())}\n`,
);
const mixes = values.mixes === undefined ? mixNames : (values.mixes.split(",") as MixName[]);
const names = values.shapes?.split(",") ?? Object.keys(quantisedShapes);
/** Their blocks are longer than a row, and the native quantiser knows no other type to fall back on: it makes no file. */
const refusedByNative: Record<string, MixName[]> = { "odd rows": ["Q1_0", "Q2_0"] };
const folder = await mkdtemp(join(tmpdir(), "jauge-equality-"));
let different = 0;
let compared = 0;
try {
  for (const [at, name] of names.entries()) {
    const stored = (["F16", "BF16", "F32"] as const)[at % 3]!;
    const input = join(folder, `${at}.gguf`);
    const tensors = await writeQuantisable(input, quantisedShapes[name]!, stored);
    const importance = await madeUpImportance(join(folder, `${at}-imatrix.gguf`), tensors);
    const possible = mixes.filter((mix) => !refusedByNative[name]?.includes(mix));
    const cases = possible.flatMap((mix): EqualityCase[] => [
      ...(needsImportanceMatrix(mix) ? [] : [{ input, mix }]),
      { input, mix, importance },
    ]);
    const differences = await differencesFromNative((file) => join(folder, file), cases);
    for (const [index, difference] of differences.entries()) {
      compared++;
      if (difference === "") continue;
      different++;
      const { mix, importance: matrix } = cases[index]!;
      console.log(`${name}, ${mix}${matrix ? " with a matrix" : ""}: ${difference}`);
    }
    console.log(`${name} (${stored}): ${cases.length} files compared`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log(`\n${compared} files, ${different} differ`);
process.exitCode = different === 0 ? 0 : 1;
