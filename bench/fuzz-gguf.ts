import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { isJaugeError } from "../src/errors.js";
import { readModel } from "../src/gguf/model-file.js";
import { outlineOf } from "../src/gguf/outline.js";
import { validateModel } from "../src/gguf/validate.js";
import { mutate, seeded } from "../test/gguf/mutate.js";
import { librariesFolder, NativeOracle } from "../test/gguf/native.js";

/**
 * Mutates the header of the embedded model and holds the reader and the validator against llama.cpp: what they
 * accept must load, or be refused cleanly, in a native process. Exits with 1 where anything crashed or hung.
 *
 *     fuzz-gguf [mutants] [first seed] [root]
 */
const mutants = Number(process.argv[2] ?? 10_000);
const firstSeed = Number(process.argv[3] ?? 1);
const root = resolve(process.argv[4] ?? ".");
/** What a file of 1 MB may make a native process grow by. */
const mostPeakBytes = 1024 * 1024 * 1024;

const original = await readFile(join(root, "models/stories260K.gguf"));
const libraries = librariesFolder();
if (!libraries) throw new Error("no llama.cpp libraries for this platform are installed");
const oracle = new NativeOracle(libraries, join(root, "test/gguf/native-child.mjs"));
const folder = await mkdtemp(join(tmpdir(), "jauge-fuzz-"));
const counts = {
  "refused by the reader": 0,
  "refused by the validator": 0,
  "accepted, loaded and decoded": 0,
  "accepted, refused cleanly by llama.cpp": 0,
  "untyped errors": 0,
  "native crashes": 0,
  "native hangs": 0,
  "native memory over 1 GiB": 0,
};
const codes = new Map<string, number>();

for (let seed = firstSeed; seed < firstSeed + mutants; seed++) {
  const { bytes, story } = mutate(original, seeded(seed));
  const path = join(folder, `${seed}.gguf`);
  await writeFile(path, bytes);
  let stage: "refused by the reader" | "refused by the validator" = "refused by the reader";
  try {
    const model = await readModel(path);
    stage = "refused by the validator";
    await validateModel(model);
    outlineOf(model);
  } catch (error) {
    const isTyped = isJaugeError(error);
    counts[isTyped ? stage : "untyped errors"]++;
    if (isTyped) codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
    else console.log(`seed ${seed}: ${story}\n  untyped: ${error instanceof Error ? error.stack : error}`);
    await rm(path);
    continue;
  }
  const outcome = await oracle.load(path);
  if (outcome.kind === "ran") counts["accepted, loaded and decoded"]++;
  if (outcome.kind === "refused") counts["accepted, refused cleanly by llama.cpp"]++;
  if (outcome.kind === "crashed") counts["native crashes"]++;
  if (outcome.kind === "hung") counts["native hangs"]++;
  if (outcome.kind === "crashed" || outcome.kind === "hung")
    console.log(`seed ${seed}: ${story}\n  ${outcome.kind}: ${lastWords(outcome.log)}`);
  else if (outcome.peakBytes > mostPeakBytes) {
    counts["native memory over 1 GiB"]++;
    console.log(`seed ${seed}: ${story}\n  peak ${outcome.peakBytes}`);
    await oracle.close();
  }
  await rm(path);
}
await oracle.close();
await rm(folder, { recursive: true });

console.log(`\n${"mutants".padEnd(40)} ${String(mutants).padStart(7)}`);
for (const [name, count] of Object.entries(counts))
  console.log(`${name.padEnd(40)} ${String(count).padStart(7)}`);
console.log(
  `\n${[...codes]
    .sort((a, b) => b[1] - a[1])
    .map(([code, count]) => `${code} ${count}`)
    .join(", ")}`,
);
if (counts["untyped errors"] + counts["native crashes"] + counts["native hangs"] > 0) process.exitCode = 1;

function lastWords(log: string): string {
  const lines = log.trim().split("\n");
  return (
    lines.findLast((line) => /assert|abort|fatal|terminate|what\(\)/i.test(line)) ??
    lines.slice(-2).join(" | ")
  );
}
