import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import fc from "fast-check";
import { openCheckpoint } from "../src/convert/readers/open-checkpoint.js";
import { isJaugeError } from "../src/errors.js";
import { counting, safetensorsFile } from "../test/convert/readers/checkpoint-files.js";
import { mutations, readAll } from "../test/convert/readers/mutate-checkpoint.js";

/**
 * Mutated checkpoints of every format against the readers: each is read or refused with a typed error, in bounded time
 * and memory. Exits with 1 where one is not.
 *
 *     fuzz-readers [mutants of each file] [seed]
 */
const mutants = Number(process.argv[2] ?? 2000);
const seed = Number(process.argv[3] ?? 1);
const mostBytes = 1024 * 1024 * 1024;
const mostMs = 10_000;

const fixtures = ["torch", "flax"].map((name) => resolve("test/fixtures", name));
const files = (
  await Promise.all(fixtures.map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))))
)
  .flat()
  .filter((path) => !path.endsWith(".json"));
const originals: [string, Buffer][] = [
  ["safetensors", safetensorsFile({ a: counting([3, 4]), b: counting([5]) }, { format: "pt" })],
  ...(await Promise.all(
    files.map(async (path): Promise<[string, Buffer]> => [basename(path), await readFile(path)]),
  )),
];
const folder = await mkdtemp(join(tmpdir(), "jauge-fuzz-"));
const counts = new Map<string, number>();
let failures = 0;
for (const [name, original] of originals) {
  for (const mutate of fc.sample(mutations(original.length), { numRuns: mutants, seed })) {
    const path = join(folder, "mutant");
    const bytes = mutate(original);
    await writeFile(path, bytes);
    const started = performance.now();
    const outcome = await outcomeOf(path);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const isSlow = performance.now() - started > mostMs;
    const isLarge = process.memoryUsage.rss() > mostBytes;
    if (!outcome.startsWith("untyped") && !isSlow && !isLarge) continue;
    failures++;
    const kept = join(tmpdir(), `jauge-mutant-${seed}-${failures}`);
    await writeFile(kept, bytes);
    console.log(`${name}: ${outcome}${isSlow ? ", slow" : ""}${isLarge ? ", large" : ""}: ${kept}`);
    if (isLarge) break;
  }
}
await rm(folder, { recursive: true, force: true });
for (const [outcome, count] of [...counts].sort((a, b) => b[1] - a[1])) console.log(`${count}\t${outcome}`);
process.exitCode = failures > 0 ? 1 : 0;

async function outcomeOf(path: string): Promise<string> {
  try {
    const checkpoint = await openCheckpoint(path);
    await readAll(checkpoint).finally(() => checkpoint.close());
    return "read";
  } catch (error) {
    return isJaugeError(error) ? error.code : `untyped: ${error instanceof Error ? error.stack : error}`;
  }
}
