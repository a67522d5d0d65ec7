import { JaugeError } from "../../errors.js";
import type { ByteSource } from "../../gguf/byte-source.js";
import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { ConvertibleTensor } from "../model.js";
import { dequantisers, rowDequantisers } from "./dequantise.js";
import { truncated } from "./header.js";
import { reencoders, rowReencoders } from "./reencode.js";
import type { JoinedTensor, Piece } from "./tensors.js";
import { type Words, WordsPool, wordsOf } from "./words.js";

/** How a model's tensors are to be read. */
export interface RowSettings {
  /** The files of the parts. */
  readonly sources: readonly ByteSource[];
  /** 32-bit floats wherever today's blocks would round the scales. */
  readonly exact: boolean;
  /** The rows of Q4_0 and Q4_1 have all their scales first. */
  readonly scalesFirst: boolean;
}

/** Source bytes that are read at once; a longer row is read alone. */
const chunkBytes = 512 * 1024;

/** The tensors of a model, each read, turned into today's blocks and joined while it is asked for. */
export function rowTensors(tensors: readonly JoinedTensor[], settings: RowSettings): ConvertibleTensor[] {
  const longest = Math.max(
    ...tensors.flatMap((tensor) => tensor.pieces.map((piece) => sourceRow(tensor, piece))),
  );
  const pool = new WordsPool(Math.max(chunkBytes, longest));
  return tensors.map((tensor) => {
    const way = wayOf(tensor, settings);
    const rowBytes = tensorBytes(way.type, [tensor.shape[0]!])!;
    const rows = tensor.shape[1] ?? 1;
    return {
      name: tensor.today,
      type: way.type,
      shape: tensor.shape,
      ...(tensor.shape.length === 1 ? { keepAs: "F32" as const } : {}),
      async readRows(target, firstRow) {
        const count = target.byteLength / rowBytes;
        if (
          !Number.isInteger(count) ||
          !Number.isInteger(firstRow) ||
          firstRow < 0 ||
          firstRow + count > rows
        )
          throw new RangeError(`${tensor.today}: there are no such rows`);
        for (const part of partsOf(tensor, way, firstRow, count))
          await readPart(part, tensor, way, settings, pool, target, rowBytes);
      },
    };
  });
}

/** What becomes of a tensor's blocks: moved as they are, or turned by `turn`. */
interface Way {
  readonly type: TensorTypeName;
  /** False where a scale cannot be written. */
  readonly turn?: (source: Words, from: number, target: Words, to: number, blocks: number) => boolean;
}

function wayOf({ blocks }: JoinedTensor, { exact, scalesFirst }: RowSettings): Way {
  const { encoding, today } = blocks;
  if (encoding === "same") return { type: today! };
  const reencode = (scalesFirst ? rowReencoders[encoding] : undefined) ?? reencoders[encoding];
  const dequantise = (scalesFirst ? rowDequantisers[encoding] : undefined) ?? dequantisers[encoding];
  // Q5 has no other way than its own blocks: nothing is lost in them
  if (reencode && today && !(exact && dequantise)) return { type: today, turn: reencode };
  return {
    type: "F32",
    turn: (source, from, target, to, count) => {
      dequantise!(source, from, target, to, count);
      return true;
    },
  };
}

/** Rows of one piece and where they go. */
interface Part {
  readonly piece: Piece;
  /** First row within the piece, and how many. */
  readonly firstRow: number;
  readonly rows: number;
  /** Row of the target that the first goes to, and where in each row it starts, in bytes. */
  readonly targetRow: number;
  readonly targetColumn: number;
}

function* partsOf(tensor: JoinedTensor, way: Way, firstRow: number, rows: number): Generator<Part> {
  for (const [index, piece] of tensor.pieces.entries()) {
    if (tensor.joined !== "rows") {
      const targetColumn = index * tensorBytes(way.type, [piece.shape[0]!])!;
      yield { piece, firstRow, rows, targetRow: 0, targetColumn };
      continue;
    }
    const pieceRows = piece.shape[1] ?? 1;
    const start = Math.max(firstRow, index * pieceRows);
    const end = Math.min(firstRow + rows, (index + 1) * pieceRows);
    if (start < end)
      yield {
        ...{ piece, firstRow: start - index * pieceRows, rows: end - start },
        ...{ targetRow: start - firstRow, targetColumn: 0 },
      };
  }
}

async function readPart(
  part: Part,
  tensor: JoinedTensor,
  way: Way,
  settings: RowSettings,
  pool: WordsPool,
  target: Uint8Array,
  rowBytes: number,
): Promise<void> {
  const { piece } = part;
  const source = settings.sources[piece.part]!;
  const readBytes = sourceRow(tensor, piece);
  const writeBytes = tensorBytes(way.type, [piece.shape[0]!])!;
  const offset = piece.offset + part.firstRow * readBytes;
  const whole = writeBytes === rowBytes;
  if (!way.turn && whole) {
    const start = part.targetRow * rowBytes;
    return readFully(source, tensor.name, target.subarray(start, start + part.rows * rowBytes), offset);
  }
  const chunkRows = Math.max(1, Math.floor(chunkBytes / readBytes));
  const fill = (words: Words, row: number): Promise<void> => {
    const bytes = Math.min(chunkRows, part.rows - row) * readBytes;
    return readFully(source, tensor.name, words.bytes.subarray(0, bytes), offset + row * readBytes);
  };
  const aligned = wordsOf(target) ?? wordsOf(new Uint8Array(target.byteLength))!;
  let [current, next] = [pool.take(), pool.take()];
  let reading: Promise<void> | undefined = fill(current, 0);
  try {
    for (let row = 0; row < part.rows; row += chunkRows) {
      await reading;
      // the disk works on the next chunk while this one is turned
      reading = row + chunkRows < part.rows ? fill(next, row + chunkRows) : undefined;
      reading?.catch(() => {});
      const rows = Math.min(chunkRows, part.rows - row);
      const to = (part.targetRow + row) * rowBytes + part.targetColumn;
      const bad = turnRows(current, rows, readBytes, aligned, to, rowBytes, tensor, piece, way, settings);
      if (bad >= 0) throw badScale(tensor, piece, part.firstRow + row + bad);
      [current, next] = [next, current];
    }
  } finally {
    await reading?.catch(() => {});
    pool.give(current);
    pool.give(next);
  }
  if (aligned.bytes !== target) copyPart(aligned.bytes, target, part, rowBytes, writeBytes);
}

/** Turns `rows` consecutive rows of a piece; the first of those that hold a scale which cannot be written, or −1. */
function turnRows(
  source: Words,
  rows: number,
  readBytes: number,
  target: Words,
  to: number,
  rowBytes: number,
  { blocks }: JoinedTensor,
  piece: Piece,
  way: Way,
  { scalesFirst }: RowSettings,
): number {
  const rowBlocks = piece.shape[0]! / blocks.blockElements;
  const { turn } = way;
  if (!turn) {
    for (let row = 0; row < rows; row++)
      target.bytes.set(source.bytes.subarray(row * readBytes, (row + 1) * readBytes), to + row * rowBytes);
    return -1;
  }
  // where a target row is a piece's row, blocks follow one another without a gap on both sides
  if (!scalesFirst && rowBytes === tensorBytes(way.type, [piece.shape[0]!]))
    return turn(source, 0, target, to, rows * rowBlocks) ? -1 : 0;
  for (let row = 0; row < rows; row++)
    if (!turn(source, row * readBytes, target, to + row * rowBytes, rowBlocks)) return row;
  return -1;
}

function copyPart(from: Uint8Array, to: Uint8Array, part: Part, rowBytes: number, writeBytes: number): void {
  for (let row = 0; row < part.rows; row++) {
    const start = (part.targetRow + row) * rowBytes + part.targetColumn;
    to.set(from.subarray(start, start + writeBytes), start);
  }
}

function sourceRow({ blocks }: JoinedTensor, piece: Piece): number {
  return (piece.shape[0]! / blocks.blockElements) * blocks.blockBytes;
}

async function readFully(
  source: ByteSource,
  field: string,
  target: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < target.byteLength; ) {
    const bytes = await source.read(target.subarray(done), position + done);
    // it was longer when it was opened
    if (bytes === 0) throw truncated(source.path, field, target.byteLength - done);
    done += bytes;
  }
}

function badScale(tensor: JoinedTensor, piece: Piece, row: number): JaugeError<"legacy-scale"> {
  return new JaugeError("legacy-scale", { path: piece.path, tensor: tensor.name, row });
}
