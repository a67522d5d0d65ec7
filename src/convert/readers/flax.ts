import { type StoredType, storedBytes } from "../checkpoint.js";
import type { PooledFile } from "./file-pool.js";
import { type MsgpackItem, MsgpackReader } from "./msgpack.js";
import { malformed, printable, problems, unsupported } from "./problems.js";
import { countElements } from "./shape.js";

/** An array of a file of flax: where its elements lie, in row-major order. */
export interface FlaxArray {
  /** The names that lead to it, outermost first. */
  readonly path: readonly string[];
  readonly type: StoredType;
  readonly shape: readonly number[];
  /** Consecutive parts, one unless the array was too long for one item. */
  readonly pieces: readonly { position: number; bytes: number }[];
}

const mostEntries = 100_000;
const deepest = 16;
const longestName = 256;
const mostDimensions = 16;
/** The number of arrays among flax's extensions, and that of numbers, which are arrays without dimensions. */
const [arrayType, scalarType] = [1, 3];
const chunkedMark = "__msgpack_chunked_array__";

/** By the names of numpy. */
const types: Readonly<Record<string, StoredType>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};

/** Whether a file that starts so is a stream of records, a list of names and bytes each. */
export function isFlaxStream(head: Uint8Array): boolean {
  const [record = 0, names = 0, first = 0] = head;
  return record === 0x92 && names > 0x90 && names <= 0x9f && first > 0xa0 && first <= 0xbf;
}

/**
 * The arrays of a checkpoint that EasyLM wrote as a stream: records of a list of names and of bytes, which are what
 * flax's `to_bytes` gives: an array, or a dictionary of arrays.
 *
 * Source: EasyLM/checkpoint.py of EasyLM (`save_train_state_to_file`), flax/serialization.py of flax.
 * Errors: `checkpoint-malformed`, `checkpoint-truncated`, `checkpoint-unsupported`, `file-unreadable`.
 */
export async function readFlaxStream(file: PooledFile): Promise<FlaxArray[]> {
  return new FlaxFile(file).stream();
}

class FlaxFile {
  private readonly reader: MsgpackReader;
  private readonly arrays: FlaxArray[] = [];
  private entries = 0;

  constructor(private readonly file: PooledFile) {
    this.reader = new MsgpackReader(file);
  }

  async stream(): Promise<FlaxArray[]> {
    const { reader, file } = this;
    for (let at = 0; at < file.bytes; ) {
      const field = `record ${this.entries + 1}`;
      const record = await reader.item(at, file.bytes, field);
      if (record.kind !== "list" || record.count !== 2) throw this.wrong(field, "[names, bytes]");
      const names = await reader.item(record.start, file.bytes, field);
      if (names.kind !== "list" || names.count > deepest) throw this.wrong(field, "[names, bytes]");
      let next = names.start;
      const path: string[] = [];
      for (let index = 0; index < names.count; index++) {
        const name = await reader.item(next, file.bytes, field);
        path.push(await this.name(name, field));
        next = endOf(name);
      }
      const value = await reader.item(next, file.bytes, path.join("."));
      // until version 1 of msgpack for Python, bytes were written as texts
      if (value.kind !== "bytes" && value.kind !== "text") throw this.wrong(path.join("."), "bytes");
      const end = await this.value(value.start, value.end, path, 0);
      if (end !== value.end)
        throw malformed(file.path, path.join("."), problems.outsideItem({ position: end }));
      at = value.end;
    }
    return this.arrays;
  }

  /** Takes in the arrays of a value; returns where it ends. */
  private async value(at: number, end: number, path: readonly string[], depth: number): Promise<number> {
    const field = path.join(".");
    if (++this.entries > mostEntries)
      throw malformed(this.file.path, field, problems.tooMany({ limit: mostEntries }));
    if (depth > deepest) throw malformed(this.file.path, field, problems.tooDeep({ limit: deepest }));
    const item = await this.reader.item(at, end, field);
    if (item.kind === "extension" && (item.type === arrayType || item.type === scalarType)) {
      const { type, shape, piece } = await this.array(item, field);
      this.arrays.push({ path, type, shape, pieces: [piece] });
      return item.end;
    }
    if (item.kind === "map") return this.map(item, end, path, depth);
    // counters and the like, which no tensor is
    if (item.kind === "list") throw this.wrong(field, "array");
    return endOf(item);
  }

  private async map(
    { count, start }: { count: number; start: number },
    end: number,
    path: readonly string[],
    depth: number,
  ): Promise<number> {
    let at = start;
    for (let index = 0; index < count; index++) {
      const field = path.join(".");
      const key = await this.reader.item(at, end, field);
      const name = await this.name(key, field);
      at = endOf(key);
      if (name === chunkedMark && index === 0) return this.chunked(at, end, count, path);
      at = await this.value(at, end, [...path, name], depth + 1);
    }
    return at;
  }

  /** Behind the mark: `true`, then a map `shape` and a map `chunks`, both with the keys "0", "1", … */
  private async chunked(at: number, end: number, count: number, path: readonly string[]): Promise<number> {
    const field = path.join(".");
    if (count !== 3) throw this.wrong(field, chunkedMark);
    let next = endOf(await this.reader.item(at, end, field));
    const shape: number[] = [];
    const pieces: FlaxArray["pieces"][number][] = [];
    const found = new Set<StoredType>();
    for (const part of ["shape", "chunks"]) {
      const key = await this.reader.item(next, end, field);
      const map = await this.reader.item(endOf(key), end, field);
      if ((await this.name(key, field)) !== part || map.kind !== "map") throw this.wrong(field, chunkedMark);
      if (map.count > (part === "shape" ? mostDimensions : mostEntries))
        throw malformed(this.file.path, field, problems.tooMany({ limit: mostEntries }));
      next = map.start;
      for (let index = 0; index < map.count; index++) {
        const key = await this.reader.item(next, end, field);
        if ((await this.name(key, field)) !== String(index)) throw this.wrong(field, chunkedMark);
        const item = await this.reader.item(endOf(key), end, field);
        if (part === "shape" && item.kind === "integer") shape.push(item.value);
        else if (part === "chunks" && item.kind === "extension" && item.type === arrayType) {
          const { type, piece } = await this.array(item, field);
          found.add(type);
          pieces.push(piece);
        } else throw this.wrong(field, chunkedMark);
        next = endOf(item);
      }
    }
    const [type] = found;
    const elements = countElements(shape);
    if (!type || found.size > 1 || elements === undefined) throw this.wrong(field, chunkedMark);
    this.expectBytes(
      field,
      pieces.reduce((sum, { bytes }) => sum + bytes, 0),
      elements * storedBytes[type],
    );
    this.arrays.push({ path, type, shape, pieces });
    return next;
  }

  /** A list of a list of sizes, the name of a type, and bytes. */
  private async array({ start, end }: { start: number; end: number }, field: string) {
    const { reader } = this;
    const list = await reader.item(start, end, field);
    if (list.kind !== "list" || list.count !== 3) throw this.wrong(field, "[shape, type, bytes]");
    const sizes = await reader.item(list.start, end, field);
    if (sizes.kind !== "list" || sizes.count > mostDimensions)
      throw this.wrong(field, "[shape, type, bytes]");
    const shape: number[] = [];
    let next = sizes.start;
    for (let index = 0; index < sizes.count; index++) {
      const size = await reader.item(next, end, field);
      if (size.kind !== "integer") throw this.wrong(field, "[shape, type, bytes]");
      shape.push(size.value);
      next = size.start;
    }
    const typeName = await reader.item(next, end, field);
    const name = await this.name(typeName, field);
    if (!Object.hasOwn(types, name))
      throw unsupported(this.file.path, field, problems.unknownType({ type: printable(name) }));
    const type = types[name]!;
    const data = await reader.item(endOf(typeName), end, field);
    if ((data.kind !== "bytes" && data.kind !== "text") || data.end !== end)
      throw this.wrong(field, "[shape, type, bytes]");
    const elements = countElements(shape);
    if (elements === undefined)
      throw malformed(this.file.path, field, problems.badShape({ shape: `[${shape.join(", ")}]` }));
    this.expectBytes(field, data.end - data.start, elements * storedBytes[type]);
    return { type, shape, piece: { position: data.start, bytes: data.end - data.start } };
  }

  private async name(item: MsgpackItem, field: string): Promise<string> {
    if (item.kind !== "text" && item.kind !== "bytes") throw this.wrong(field, "name");
    return this.reader.text(item, longestName, field);
  }

  private expectBytes(field: string, bytes: number, expectedBytes: number): void {
    if (bytes !== expectedBytes)
      throw malformed(this.file.path, field, problems.wrongSize({ bytes, expectedBytes }));
  }

  private wrong(field: string, expected: string) {
    return malformed(this.file.path, field, problems.notA({ expected }));
  }
}

/** Where an item ends that holds no others. */
function endOf(item: MsgpackItem): number {
  return "end" in item ? item.end : item.start;
}
