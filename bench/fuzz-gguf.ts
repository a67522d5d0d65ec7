import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { isJaugeError } from "../src/errors.js";
import { readModel } from "../src/gguf/model-file.js";
import { outlineOf } from "../src/gguf/outline.js";
import { validateModel } from "../src/gguf/validate.js";
import { mutate } from "../test/gguf/mutate.js";
import { librariesFolder, NativeOracle } from "../test/gguf/native.js";
import { seeded } from "../test/gguf/random.js";
import { type Variant, variantsOf } from "../test/gguf/variants.js";

/**
 * Mutates the header of the embedded model, under each kind of vocabulary, and holds the reader and the validator
 * against llama.cpp: what they accept must load and decode, or be refused cleanly, in a native process. Exits with 1
 * where anything crashed or hung.
 *
 *     fuzz-gguf [mutants] [first seed] [models to mutate instead…]
 */
const mutants = Number(process.argv[2] ?? 10_000);
const firstSeed = Number(process.argv[3] ?? 1);
const models = process.argv.slice(4);
/** What a file of 1 MB may make a native process grow by. */
const mostPeakBytes = 1024 * 1024 * 1024;

const originals = await readOriginals();
const libraries = librariesFolder();
if (!libraries) throw new Error("no llama.cpp libraries for this platform are installed");
const oracle = new NativeOracle(libraries, resolve("test/gguf/native-child.mjs"));
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

for (const { name, bytes } of originals) {
  const path = join(folder, "original.gguf");
  await writeFile(path, bytes);
  await validateModel(await readModel(path));
  const outcome = await oracle.load(path);
  if (outcome.kind !== "ran") throw new Error(`${name} does not run: ${JSON.stringify(outcome)}`);
}

for (let seed = firstSeed; seed < firstSeed + mutants; seed++) {
  const original = originals[seed % originals.length]!;
  const { bytes, story: change } = mutate(original.bytes, seeded(seed));
  const story = `${original.name}: ${change}`;
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

/** The models to mutate; each must run as it is, else its mutants would say nothing. */
async function readOriginals(): Promise<Variant[]> {
  if (models.length === 0) return variantsOf(await readFile(resolve("models/stories260K.gguf")));
  return Promise.all(models.map(async (path) => ({ name: basename(path), bytes: await readFile(path) })));
}

function lastWords(log: string): string {
  const lines = log.trim().split("\n");
  return (
    lines.findLast((line) => /assert|abort|fatal|terminate|what\(\)/i.test(line)) ??
    lines.slice(-2).join(" | ")
  );
}
