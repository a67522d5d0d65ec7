import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { dequantisers, rowDequantisers } from "../src/convert/legacy/dequantise.js";
import { type Encoding, storedBlocks } from "../src/convert/legacy/format.js";
import { openLegacyGgml } from "../src/convert/legacy/open.js";
import { reencoders, rowReencoders } from "../src/convert/legacy/reencode.js";
import { type Words, wordsOf } from "../src/convert/legacy/words.js";
import { isJaugeError } from "../src/errors.js";
import { mutant } from "../test/convert/legacy/mutate.js";
import { contentsOf } from "../test/convert/legacy/rows.js";
import { tinyModel } from "../test/convert/legacy/tiny.js";
import { kinds, legacyBytes } from "../test/convert/legacy/writer.js";
import { seeded } from "../test/gguf/random.js";
import { Random } from "./random.js";

/**
 * How fast one core turns blocks of 2023 into today's, and into 32-bit floats: megabytes read and written per second, the
 * best of several turns over a chunk as the reader has it. Then mutated files: each must be read, or refused with a typed
 * error. Exits with 1 where one was not, or where reading and writing together stay under 500 MB/s.
 *
 *     legacy [milliseconds for each type, 500] [mutants, 10000]
 */
const milliseconds = Number(process.argv[2] ?? 500);
const mutants = Number(process.argv[3] ?? 10_000);
const chunkBytes = 512 * 1024;
/** What issue and README promise. */
const leastBytesPerSecond = 500e6;

const encodings = new Map<
  Encoding,
  { name: string; blockBytes: number; blockElements: number; outBytes: number }
>();
const outBytes: Record<string, number> = { Q4_0: 18, Q4_1: 20, Q5_0: 22, Q5_1: 24, Q8_0: 34 };
for (const container of ["ggjt v1", "ggjt v2"] as const)
  for (let number = 2; number <= 8; number++) {
    const blocks = storedBlocks(container, number, 0);
    if (!blocks || blocks.encoding === "same" || encodings.has(blocks.encoding)) continue;
    encodings.set(blocks.encoding, { ...blocks, outBytes: outBytes[blocks.today ?? ""] ?? 0 });
  }

let failed = false;
const rows: string[][] = [["blocks", "to", "read MB/s", "written MB/s"]];
for (const [encoding, { blockBytes, blockElements, outBytes: today }] of encodings) {
  const ways = [
    { to: "today's blocks", out: today, turn: reencoders[encoding] },
    { to: "F32", out: 4 * blockElements, turn: dequantisers[encoding] },
    { to: "today's blocks, scales first", out: today, turn: rowReencoders[encoding] },
    { to: "F32, scales first", out: 4 * blockElements, turn: rowDequantisers[encoding] },
  ];
  for (const { to, out, turn } of ways) {
    if (!turn) continue;
    const blocks = Math.floor(chunkBytes / blockBytes);
    const perSecond = blocksPerSecond(blocks, blockBytes, out, turn);
    const [read, written] = [perSecond * blockBytes, perSecond * out];
    failed ||= Math.max(read, written) < leastBytesPerSecond;
    rows.push([encoding, to, (read / 1e6).toFixed(0), (written / 1e6).toFixed(0)]);
  }
}
for (const [encoding, to, read, written] of rows)
  console.log(`${encoding!.padEnd(18)}${to!.padEnd(30)}${read!.padStart(10)}${written!.padStart(14)}`);

const counts = { read: 0, refused: 0, untyped: 0 };
const folder = await mkdtemp(join(tmpdir(), "jauge-legacy-"));
try {
  const originals = (["ggml", "ggmf v1", "ggjt v1", "ggjt v2", "ggjt v3"] as const).map((container) =>
    legacyBytes(tinyModel(container, kinds[container]![0]!).file),
  );
  const path = join(folder, "mutant.bin");
  for (let seed = 1; seed <= mutants; seed++) {
    await writeFile(path, mutant(originals[seed % originals.length]!, seeded(seed)));
    try {
      await contentsOf(await openLegacyGgml(path));
      counts.read++;
    } catch (error) {
      if (isJaugeError(error)) counts.refused++;
      else {
        counts.untyped++;
        console.error(`seed ${seed}:`, error);
      }
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log(
  `\n${mutants} mutants:`,
  counts,
  `peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`,
);
process.exit(failed || counts.untyped > 0 ? 1 : 0);

function blocksPerSecond(
  blocks: number,
  blockBytes: number,
  outBlockBytes: number,
  turn: (source: Words, from: number, target: Words, to: number, blocks: number) => unknown,
): number {
  const source = wordsOf(new Uint8Array(Math.ceil((blocks * blockBytes) / 4) * 4))!;
  const target = wordsOf(new Uint8Array(Math.ceil((blocks * outBlockBytes) / 4) * 4))!;
  const random = new Random(1);
  // sensible scales in either precision, wherever they stand: infinities and subnormals would take another way
  for (let word = 0; word < source.words.length; word++)
    source.words[word] = (random.next() & 0x03ff03ff) | 0x3c003c00;
  let best = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + milliseconds; performance.now() < end; ) {
    const started = performance.now();
    turn(source, 0, target, 0, blocks);
    best = Math.min(best, performance.now() - started);
  }
  return (blocks * 1000) / best;
}
