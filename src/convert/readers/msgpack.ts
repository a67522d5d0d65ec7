import { type PooledFile, truncated } from "./file-pool.js";
import { malformed, problems } from "./problems.js";

/** What starts at a position of a MessagePack file. Texts and bytes lie between `start` and `end`, all else at `start`. */
export type MsgpackItem =
  | { kind: "text" | "bytes"; start: number; end: number }
  /** `type` is the application's number. */
  | { kind: "extension"; type: number; start: number; end: number }
  /** What it holds begins at `start`; a map has a key and a value for each of `count`. */
  | { kind: "list" | "map"; count: number; start: number }
  | { kind: "integer"; value: number; start: number }
  /** A number of a fraction, a truth value or nothing: read over, never looked at. */
  | { kind: "other"; start: number };

/** Small items are read through a window of so many bytes; large contents are never read here. */
const windowBytes = 64 * 1024;
/** The longest start of an item: a byte, a length of four, a type; or a byte and a number of eight. */
const longestStart = 9;

/**
 * Reads the structure of a MessagePack file: where things begin and end, nothing of what they hold. Every length is held
 * against the bytes that are left of what it stands in.
 *
 * Source: spec.md of the msgpack project.
 * Errors: `checkpoint-malformed`, `checkpoint-truncated`, `file-unreadable`.
 */
export class MsgpackReader {
  private readonly window: Buffer;
  private windowStart = 0;
  private windowEnd = 0;

  constructor(readonly file: PooledFile) {
    this.window = Buffer.alloc(Math.min(windowBytes, file.bytes));
  }

  /** The item at `position`; it ends before `end`, the end of what it stands in. `field` is for errors. */
  async item(position: number, end: number, field: string): Promise<MsgpackItem> {
    if (position >= end) throw this.early(position, 1, end, field);
    const bytes = await this.bytes(position, Math.min(longestStart, end - position), field);
    const code = bytes[0]!;
    if (code <= 0x7f) return { kind: "integer", value: code, start: position + 1 };
    if (code <= 0x8f) return this.collection("map", code & 0x0f, position + 1, end, field);
    if (code <= 0x9f) return this.collection("list", code & 0x0f, position + 1, end, field);
    if (code <= 0xbf) return this.content("text", position + 1, code & 0x1f, end, field);
    if (code >= 0xe0) return { kind: "integer", value: code - 256, start: position + 1 };
    const form = forms[code - 0xc0];
    // 0xc1 is never used
    if (!form) throw malformed(this.file.path, field, problems.msgpack({ position, code }));
    const start = position + 1 + form.bytes;
    if (start > end || bytes.length < 1 + form.bytes) throw this.early(position, 1 + form.bytes, end, field);
    const number = form.bytes === 0 ? 0 : unsigned(bytes, form.bytes);
    switch (form.kind) {
      case "text":
      case "bytes":
        return this.content(form.kind, start, number, end, field);
      case "list":
      case "map":
        return this.collection(form.kind, number, start, end, field);
      case "extension": {
        const typed = await this.bytes(start, Math.min(1, end - start), field);
        if (typed.length === 0) throw this.early(start, 1, end, field);
        const content = this.content("bytes", start + 1, form.fixed ?? number, end, field);
        return { kind: "extension", type: typed.readInt8(0), start: content.start, end: content.end };
      }
      case "integer":
        return { kind: "integer", value: form.signed ? signed(bytes, form.bytes) : number, start };
      default:
        return { kind: "other", start };
    }
  }

  /** A text of at most `longest` bytes. */
  async text(
    { start, end }: { start: number; end: number },
    longest: number,
    field: string,
  ): Promise<string> {
    if (end - start > longest)
      throw malformed(this.file.path, field, problems.tooLong({ bytes: end - start, limitBytes: longest }));
    return (await this.bytes(start, end - start, field)).toString("utf8");
  }

  private content<Kind extends "text" | "bytes">(
    kind: Kind,
    start: number,
    length: number,
    end: number,
    field: string,
  ): { kind: Kind; start: number; end: number } {
    if (length > end - start) throw this.early(start, length, end, field);
    return { kind, start, end: start + length };
  }

  private collection(kind: "list" | "map", count: number, start: number, end: number, field: string) {
    // the shortest item has a byte
    const least = kind === "map" ? 2 * count : count;
    if (least > end - start) throw this.early(start, least, end, field);
    return { kind, count, start };
  }

  private early(start: number, length: number, end: number, field: string) {
    const missing = start + length - end;
    if (end === this.file.bytes) return truncated(this.file.path, field, this.file.bytes, missing);
    return malformed(this.file.path, field, problems.outsideItem({ position: start }));
  }

  private async bytes(position: number, length: number, field: string): Promise<Buffer> {
    if (length === 0) return this.window.subarray(0, 0);
    if (position < this.windowStart || position + length > this.windowEnd) {
      const most = Math.min(this.window.length, this.file.bytes - position);
      if (length > most) throw truncated(this.file.path, field, this.file.bytes, length - most);
      this.windowEnd = 0;
      await this.file.read(this.window.subarray(0, most), position, field);
      [this.windowStart, this.windowEnd] = [position, position + most];
    }
    const from = position - this.windowStart;
    return this.window.subarray(from, from + length);
  }
}

interface Form {
  kind: MsgpackItem["kind"];
  /** Of the length, the count or the number behind the code. */
  bytes: number;
  signed?: boolean;
  /** Length of an extension that has none written. */
  fixed?: number;
}

const form = (kind: Form["kind"], bytes: number, more: Partial<Form> = {}): Form => ({
  kind,
  bytes,
  ...more,
});

/** From 0xc0 on. */
const forms: readonly (Form | undefined)[] = [
  ...[form("other", 0), undefined, form("other", 0), form("other", 0)],
  ...[1, 2, 4].map((bytes) => form("bytes", bytes)),
  ...[1, 2, 4].map((bytes) => form("extension", bytes)),
  ...[4, 8].map((bytes) => form("other", bytes)),
  ...[1, 2, 4, 8].map((bytes) => form("integer", bytes)),
  ...[1, 2, 4, 8].map((bytes) => form("integer", bytes, { signed: true })),
  ...[1, 2, 4, 8, 16].map((fixed) => form("extension", 0, { fixed })),
  ...[1, 2, 4].map((bytes) => form("text", bytes)),
  ...[2, 4].map((bytes) => form("list", bytes)),
  ...[2, 4].map((bytes) => form("map", bytes)),
];

function unsigned(bytes: Buffer, length: number): number {
  return length === 8 ? Number(bytes.readBigUInt64BE(1)) : bytes.readUIntBE(1, length);
}

function signed(bytes: Buffer, length: number): number {
  return length === 8 ? Number(bytes.readBigInt64BE(1)) : bytes.readIntBE(1, length);
}
