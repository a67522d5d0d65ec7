import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FilePool } from "../src/convert/readers/file-pool.js";
import { joinColumns } from "../src/convert/readers/join.js";
import { openCheckpoint } from "../src/convert/readers/open-checkpoint.js";
import { BandKeeper, stridedReader } from "../src/convert/readers/strided.js";
import { withHeader } from "../test/convert/readers/checkpoint-files.js";

/**
 * How fast the readers of checkpoints give tensors, from the page cache, one read after the other as one worker asks for
 * them. Bytes per second of the wall clock and of processor time, all threads of the process together.
 *
 *     readers [--mb 512] [--chunk 8] [--runs 3]
 */
const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "512" },
    chunk: { type: "string", default: "8" },
    runs: { type: "string", default: "3" },
  },
});
const megabytes = Number(values.mb);
const chunkBytes = Number(values.chunk) * 1e6;
const runs = Number(values.runs);

const folder = await mkdtemp(join(tmpdir(), "jauge-readers-"));
try {
  await measureAll();
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measureAll(): Promise<void> {
  const columns = 8192;
  const rows = Math.max(64, Math.floor((megabytes * 1e6) / (columns * 2) / 64) * 64);
  const elements = rows * columns;
  const path = join(folder, "model.safetensors");
  await writeMatrix(path, rows, columns);
  const checkpoint = await openCheckpoint(path);
  const pool = new FilePool();
  const file = await pool.add(path);
  const data = file.bytes - elements * 2;
  const raw = (target: Uint8Array, first: number) => file.read(target, data + first * 2, "matrix");
  const strided = (shape: number[], strides: number[], offset = 0) =>
    stridedReader(raw, 2, { shape, strides, offset }, new BandKeeper());
  const half = { name: "matrix", type: "BF16" as const, shape: [rows, columns / 2] };
  const cases: [string, number, (target: Uint8Array, first: number) => Promise<void>][] = [
    ["safetensors", elements, checkpoint.tensors.get("matrix")!.read],
    ["torch, contiguous", elements, strided([rows, columns], [columns, 1])],
    ["torch, half of the columns", elements / 2, strided([rows, columns / 2], [columns, 1], 64)],
    ["torch, transposed", elements, strided([columns, rows], [1, columns])],
    [
      "Meta, two parts joined by columns",
      elements,
      joinColumns(
        [0, elements / 2].map((start) => ({ ...half, read: (target, first) => raw(target, start + first) })),
        2,
      ),
    ],
  ];
  console.log(`${rows} × ${columns} of 2 bytes, ${chunkBytes / 1e6} MB a read, best of ${runs}`);
  for (const [name, count, read] of cases) {
    const found = [];
    for (let run = 0; run < runs; run++) found.push(await measure(count, read));
    const wall = Math.max(...found.map((each) => each.wall));
    const core = Math.max(...found.map((each) => each.core));
    console.log(
      `${name.padEnd(36)} ${wall.toFixed(0).padStart(6)} MB/s ${core.toFixed(0).padStart(6)} MB/s per core`,
    );
  }
  await pool.close();
  await checkpoint.close();
}

/** Reads a tensor from its first element to its last. */
async function measure(elements: number, read: (target: Uint8Array, first: number) => Promise<void>) {
  const target = new Uint8Array(chunkBytes);
  const step = Math.floor(chunkBytes / 2);
  const [started, used] = [performance.now(), process.cpuUsage()];
  for (let first = 0; first < elements; first += step)
    await read(target.subarray(0, Math.min(step, elements - first) * 2), first);
  const { user, system } = process.cpuUsage(used);
  const bytes = elements * 2;
  return { wall: bytes / 1e3 / (performance.now() - started), core: bytes / (user + system) };
}

async function writeMatrix(path: string, rows: number, columns: number): Promise<void> {
  const bytes = rows * columns * 2;
  const header = JSON.stringify({
    matrix: { dtype: "BF16", shape: [rows, columns], data_offsets: [0, bytes] },
  });
  const handle = await open(path, "w");
  await handle.write(withHeader(header, new Uint8Array()));
  const block = Buffer.alloc(1 << 22);
  for (let index = 0; index < block.length; index += 4)
    block.writeUInt32LE((index * 2654435761) >>> 0, index);
  for (let left = bytes; left > 0; left -= block.length) await handle.write(block.subarray(0, left));
  await handle.close();
}
