import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FilePool } from "../src/convert/readers/file-pool.js";
import { joinColumns } from "../src/convert/readers/join.js";
import { openCheckpoint } from "../src/convert/readers/open-checkpoint.js";
import { BandKeeper, type ElementReader, stridedReader } from "../src/convert/readers/strided.js";
import { arranged } from "../src/convert/views/arranged.js";
import { mxfp4 } from "../src/convert/views/mxfp4.js";
import { transposed } from "../src/convert/views/transposed.js";
import { joined, type View } from "../src/convert/views/view.js";
import { withHeader } from "../test/convert/readers/checkpoint-files.js";

/**
 * How fast the readers of checkpoints give tensors, from the page cache, one read after the other as one worker asks for
 * them. Bytes per second of the wall clock and of processor time, all threads of the process together.
 *
 *     readers [--mb 1024] [--chunk 8] [--runs 3]
 */
const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "1024" },
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
  const bands = new BandKeeper();
  const strided = (shape: number[], strides: number[], offset = 0) =>
    stridedReader(raw, 2, { shape, strides, offset }, bands);
  const other = strided([2, 2], [1, 2]);
  const half = { name: "matrix", type: "BF16" as const, shape: [rows, columns / 2] };
  const ofElements = (name: string, count: number, read: ElementReader): Case => ({
    ...{ name, bytes: count * 2, unit: 2 },
    read: (target, firstByte) => read(target, firstByte / 2),
  });
  const bytes = (rows: number, rowBytes: number, start: number): View => ({
    ...{ type: "U8", rows, rowBytes },
    readRows: (target, firstRow) => file.read(target, data + start + firstRow * rowBytes, "matrix"),
  });
  const cases = [
    ofElements("safetensors", elements, checkpoint.tensors.get("matrix")!.read),
    ofElements("torch, contiguous", elements, strided([rows, columns], [columns, 1])),
    ofElements("torch, half of the columns", elements / 2, strided([rows, columns / 2], [columns, 1], 64)),
    ofElements("torch, transposed", elements, strided([columns, rows], [1, columns])),
    ofElements(
      "Meta, two parts joined by columns",
      elements,
      joinColumns(
        [0, elements / 2].map((start) => ({ ...half, read: (target, first) => raw(target, start + first) })),
        2,
      ),
    ),
    ofRows("Conv1D of GPT-2, transposed", convolutions(elements, bytes, bands)),
    ...blocksOfFour(elements * 2, bytes),
  ];
  console.log(`${rows} × ${columns} of 2 bytes, ${chunkBytes / 1e6} MB a read, best of ${runs}`);
  for (const each of cases) {
    const found = [];
    for (let run = 0; run < runs; run++) {
      // another tensor between them, as in a model: what the run before kept is not read again
      await other(new Uint8Array(2), 0);
      found.push(await measure(each));
    }
    const wall = Math.max(...found.map((each) => each.wall));
    const core = Math.max(...found.map((each) => each.core));
    console.log(
      `${each.name.padEnd(36)} ${wall.toFixed(0).padStart(6)} MB/s ${core.toFixed(0).padStart(6)} MB/s per core`,
    );
  }
  await pool.close();
  await checkpoint.close();
}

/** What is read: as many bytes as are made of them, `unit` or a multiple of it at a time. */
interface Case {
  name: string;
  bytes: number;
  unit: number;
  read: (target: Uint8Array, firstByte: number) => Promise<void>;
}

type Bytes = (rows: number, rowBytes: number, start: number) => View;

function ofRows(name: string, view: View): Case {
  const { rows, rowBytes } = view;
  return {
    ...{ name, bytes: rows * rowBytes, unit: rowBytes },
    read: (target, firstByte) => view.readRows(target, firstByte / rowBytes),
  };
}

/** The feed-forward matrices of GPT-2 XL, one after the other. */
function convolutions(elements: number, bytes: Bytes, bands: BandKeeper): View {
  const [inner, outer] = [1600, 6400];
  return joined(
    Array.from({ length: Math.max(1, Math.floor(elements / (inner * outer))) }, (_, index) => {
      const stored = { ...bytes(inner, outer * 2, index * inner * outer * 2), type: "BF16" as const };
      return transposed(stored, bands);
    }),
  );
}

/** The experts of gpt-oss: as they lie there, and every second row, which the two halves of its gates take. */
function blocksOfFour(total: number, bytes: Bytes): Case[] {
  const [valueBytes, scaleBytes] = [1440, 90];
  const rows = Math.floor(total / (valueBytes + scaleBytes) / 2) * 2;
  const [values, scales] = [bytes(rows, valueBytes, 0), bytes(rows, scaleBytes, rows * valueBytes)];
  const every = [{ count: rows / 2, step: 2 }];
  return [
    ofRows("MXFP4 of gpt-oss", mxfp4(values, scales)),
    ofRows("MXFP4, every second row", mxfp4(arranged(values, 1, every), arranged(scales, 1, every))),
  ];
}

/** Reads a tensor from its first byte to its last. */
async function measure({ bytes, unit, read }: Case) {
  const target = new Uint8Array(chunkBytes);
  const step = Math.floor(chunkBytes / unit) * unit;
  const [started, used] = [performance.now(), process.cpuUsage()];
  for (let first = 0; first < bytes; first += step)
    await read(target.subarray(0, Math.min(step, bytes - first)), first);
  const { user, system } = process.cpuUsage(used);
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
