import { isUtf8 } from "node:buffer";

/** One line of a text file, without its end; `number` counts from 1. */
export interface Line {
  number: number;
  text: string;
  /** Why it cannot be read: longer than the limit, or not UTF-8. `text` is empty then. */
  problem?: "too-long" | "not-utf8";
}

const newline = 10;
const carriageReturn = 13;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** The lines of a stream of bytes that are not blank, one by one. */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  mostBytes: number,
): AsyncGenerator<Line, void, void> {
  for await (const lines of lineGroupsOf(chunks, mostBytes)) yield* lines;
}

/**
 * The lines of a stream of bytes that are not blank, as they come, those of one chunk together: never more than one line
 * and one chunk in memory. Of a line of more than `mostBytes` nothing is kept.
 */
export async function* lineGroupsOf(
  chunks: AsyncIterable<Uint8Array>,
  mostBytes: number,
): AsyncGenerator<Line[], void, void> {
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let number = 0;

  const keep = (part: Buffer) => {
    keptBytes += part.length;
    if (keptBytes > mostBytes) kept = [];
    else if (part.length > 0) kept.push(part);
  };
  const take = (): Line | undefined => {
    number++;
    const bytes = kept.length === 1 ? kept[0]! : Buffer.concat(kept);
    const isTooLong = keptBytes > mostBytes;
    kept = [];
    keptBytes = 0;
    return isTooLong ? { number, text: "", problem: "too-long" } : lineOf(number, bytes);
  };

  for await (const chunk of chunks) {
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    const lines: Line[] = [];
    for (let end = buffer.indexOf(newline); end >= 0; end = buffer.indexOf(newline, start)) {
      keep(buffer.subarray(start, end));
      start = end + 1;
      const line = take();
      if (line) lines.push(line);
    }
    // The chunk's memory may be used again by whoever gave it.
    if (start < buffer.length) keep(Buffer.from(buffer.subarray(start)));
    if (lines.length > 0) yield lines;
  }
  if (keptBytes > 0) {
    const line = take();
    if (line) yield [line];
  }
}

function lineOf(number: number, given: Buffer): Line | undefined {
  let bytes = given;
  if (number === 1 && bytes.subarray(0, 3).equals(byteOrderMark)) bytes = bytes.subarray(3);
  if (bytes.at(-1) === carriageReturn) bytes = bytes.subarray(0, -1);
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) return { number, text: "", problem: "not-utf8" };
  const text = bytes.toString("utf8");
  return text.trim() === "" ? undefined : { number, text };
}
