import { type CopiedDimension, copyElements } from "./copy-elements.js";

/** Fills `target` with consecutive elements of a storage, from `firstElement` on. */
export type ElementReader = (target: Uint8Array, firstElement: number) => Promise<void>;

/** Where the elements of a tensor lie in its storage, in elements. */
export interface StridedLayout {
  readonly shape: readonly number[];
  /** As many as the shape has; 0 where a dimension repeats. */
  readonly strides: readonly number[];
  readonly offset: number;
}

/** What one read of the storage may take; more makes no read faster. */
const scratchBytes = 4 * 1024 * 1024;
/** Reading over a gap is faster than a second read, up to this. */
const longestGapBytes = 64 * 1024;
/** What transposed tensors are gathered by: each band reads the whole storage, so that larger ones read less. */
const usualBandBytes = 384 * 1024 * 1024;
/** Rows of a band and rows that are turned at once: a multiple of this, so that lines of the cache are filled at once. */
const wholeLines = 64;

/**
 * Reads a tensor in row-major order, whatever its strides: runs that lie in a row go straight to the target, all else
 * through blocks of the storage. Memory is bounded, however large the tensor and however the strides are.
 */
export function stridedReader(
  storage: ElementReader,
  elementBytes: number,
  layout: StridedLayout,
  bands: BandKeeper,
): ElementReader {
  const dimensions = collapse(layout);
  const [outer] = dimensions;
  if (!outer || (dimensions.length === 1 && outer.stride === 1))
    return (target, firstElement) => storage(target, layout.offset + firstElement);

  const gather: ElementReader = async (target, firstElement) => {
    const job = { storage, elementBytes, target };
    const count = target.byteLength / elementBytes;
    for (const box of boxesOf(dimensions, layout.offset, firstElement, count)) await gatherBox(job, box);
  };
  const rowElements = dimensions.slice(1).reduce((product, { size }) => product * size, 1);
  const most = Math.floor(bands.bandBytes / (rowElements * elementBytes));
  const isOutOfOrder = dimensions.some(({ stride }) => stride > outer.stride);
  if (!isOutOfOrder || most < 2) return gather;
  // a row of a transposed tensor is spread over all of its storage: many are gathered at a time and kept, in bands of
  // about one size, which are whole lines of the cache where there are that many rows
  const even = Math.ceil(outer.size / Math.ceil(outer.size / most) / wholeLines) * wholeLines;
  const bandRows = even <= most ? even : wholeMultiple(most);
  return bands.reader(
    gather,
    elementBytes,
    Math.min(bandRows, outer.size) * rowElements,
    outer.size * rowElements,
  );
}

/**
 * Keeps the rows that were gathered last, for the reads behind. One for a whole checkpoint: its memory is that of one
 * band, and reads that need it take turns.
 */
export class BandKeeper {
  private turn: Promise<unknown> = Promise.resolve();
  private kept: { gather: ElementReader; first: number } | undefined;
  private memory: Uint8Array | undefined;

  constructor(readonly bandBytes = usualBandBytes) {}

  /** Reads by bands of so many elements, of a tensor of `elements`. */
  reader(gather: ElementReader, elementBytes: number, band: number, elements: number): ElementReader {
    const readBand = async (target: Uint8Array, firstElement: number) => {
      const first = firstElement - (firstElement % band);
      const bytes = Math.min(band, elements - first) * elementBytes;
      if (this.kept?.gather !== gather || this.kept.first !== first) {
        this.kept = undefined;
        if ((this.memory?.byteLength ?? 0) < bytes) {
          this.memory = undefined;
          this.memory = new Uint8Array(bytes);
        }
        await gather(this.memory!.subarray(0, bytes), first);
        this.kept = { gather, first };
      }
      const start = (firstElement - first) * elementBytes;
      const part = Math.min(target.byteLength, bytes - start);
      target.set(this.memory!.subarray(start, start + part));
      return part;
    };
    return async (target, firstElement) => {
      for (let done = 0; done < target.byteLength; ) {
        const rest = target.subarray(done);
        const at = firstElement + done / elementBytes;
        const mine = this.turn.then(() => readBand(rest, at));
        this.turn = mine.catch(() => {});
        done += await mine;
      }
    };
  }

  /** Gives the memory back. */
  clear(): void {
    this.kept = undefined;
    this.memory = undefined;
  }
}

interface Dimension {
  size: number;
  stride: number;
}

/** The same elements in the same order with as few dimensions as can be. */
function collapse({ shape, strides }: StridedLayout): Dimension[] {
  const dimensions: Dimension[] = [];
  for (const [index, size] of shape.entries()) {
    if (size === 1) continue;
    const stride = strides[index]!;
    const outer = dimensions.at(-1);
    if (outer && outer.stride === stride * size) {
      outer.size *= size;
      outer.stride = stride;
    } else {
      dimensions.push({ size, stride });
    }
  }
  return dimensions;
}

/** A block of elements, by the strides it has in the storage (`from`) and in the target (`to`). */
interface Box {
  dimensions: CopiedDimension[];
  from: number;
  to: number;
}

/** Cuts consecutive elements into blocks: the rest of a row, whole rows, the start of a row, at every level. */
function boxesOf(dimensions: readonly Dimension[], offset: number, first: number, count: number): Box[] {
  const boxes: Box[] = [];
  // row-major strides, outermost first
  const rows = dimensions.map((_, level) =>
    dimensions.slice(level + 1).reduce((product, { size }) => product * size, 1),
  );
  const add = (level: number, from: number, start: number, length: number, to: number) => {
    const row = rows[level]!;
    const { stride } = dimensions[level]!;
    let at = start;
    let left = length;
    const intoRow = at % row;
    if (intoRow > 0 && left > 0) {
      const part = Math.min(row - intoRow, left);
      add(level + 1, from + Math.floor(at / row) * stride, intoRow, part, to);
      at += part;
      left -= part;
    }
    const whole = Math.floor(left / row);
    if (whole > 0) {
      const inner = dimensions.slice(level + 1);
      const all = [
        { size: whole, from: stride, to: row },
        ...inner.map(({ size, stride }, index) => ({ size, from: stride, to: rows[level + 1 + index]! })),
      ];
      boxes.push({ dimensions: all, from: from + (at / row) * stride, to: to + at - start });
      at += whole * row;
      left -= whole * row;
    }
    if (left > 0) add(level + 1, from + Math.floor(at / row) * stride, 0, left, to + at - start);
  };
  add(0, offset, first, count, 0);
  return boxes;
}

interface Gathering {
  storage: ElementReader;
  elementBytes: number;
  target: Uint8Array;
}

/** Reads what a block spans in the storage, part by part along its longest stride, and copies what belongs to it. */
async function gatherBox(job: Gathering, box: Box): Promise<void> {
  const { storage, elementBytes, target } = job;
  const order = box.dimensions.filter(({ size }) => size > 1).sort((a, b) => b.from - a.from);
  const spans = [...order.map((_, level) => span(order.slice(level))), 1];
  // whether what follows one another along a dimension lies far apart in the storage
  const areFar = order.map(({ from }, level) => (from - spans[level + 1]!) * elementBytes > longestGapBytes);
  const most = Math.floor(scratchBytes / elementBytes);
  let scratch: Uint8Array | undefined;

  const gather = async (level: number, from: number, to: number): Promise<void> => {
    const [longest, ...inner] = order.slice(level);
    if (isRun(longest, inner)) {
      const start = to * elementBytes;
      return storage(target.subarray(start, start + (longest?.size ?? 1) * elementBytes), from);
    }
    const innerSpan = spans[level + 1]!;
    const isFar = areFar[level]!;
    const isAlone =
      innerSpan > most || areFar.includes(true, level + 1) || (isFar && isRun(inner[0], inner.slice(1)));
    if (isAlone) {
      for (let index = 0; index < longest!.size; index++)
        await gather(level + 1, from + index * longest!.from, to + index * longest!.to);
      return;
    }
    const stride = isFar ? innerSpan : longest!.from;
    const fitting = stride === 0 ? longest!.size : wholeMultiple(Math.floor((most - innerSpan) / stride) + 1);
    scratch ??= new Uint8Array(Math.min(most, (longest!.size - 1) * stride + innerSpan) * elementBytes);
    for (let first = 0; first < longest!.size; first += fitting) {
      const size = Math.min(fitting, longest!.size - first);
      const start = from + first * longest!.from;
      if (isFar)
        for (let index = 0; index < size; index++) {
          const part = scratch.subarray(
            index * innerSpan * elementBytes,
            (index + 1) * innerSpan * elementBytes,
          );
          await storage(part, start + index * longest!.from);
        }
      else await storage(scratch.subarray(0, ((size - 1) * stride + innerSpan) * elementBytes), start);
      const block = [{ size, from: stride, to: longest!.to }, ...inner];
      copyElements(elementBytes, scratch, 0, target, to + first * longest!.to, block);
    }
  };
  await gather(0, box.from, box.to);
}

/** What is left over at the end of each part costs as much as a whole line. */
function wholeMultiple(count: number): number {
  return count > wholeLines ? count - (count % wholeLines) : count;
}

/** Whether elements follow one another in the storage and in the target, or there is just one. */
function isRun(longest: CopiedDimension | undefined, inner: readonly CopiedDimension[]): boolean {
  return inner.length === 0 && (!longest || (longest.from === 1 && longest.to === 1));
}

/** Elements from the first to the last of a block. */
function span(dimensions: readonly CopiedDimension[]): number {
  return dimensions.reduce((sum, { size, from }) => sum + (size - 1) * from, 1);
}
