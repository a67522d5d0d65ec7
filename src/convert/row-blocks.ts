import { JaugeError } from "../errors.js";
import { bytesOfRows, type LaneRoom } from "../quantize/kernels.js";
import type { OutputTensor } from "./output-files.js";

/** Elements that are converted at once: their floats stay in a core's cache, and one call is long beside its cost. */
const blockElements = 2 ** 18;
/** Bytes that are copied at once. */
const copyBytes = 2 ** 21;
/** 256 MiB of floats; the longest rows of known models are a hundredth of it. */
const longestRow = 2 ** 26;

/** Some rows of a tensor: what a lane reads, converts and writes at a time. */
export interface RowBlock {
  firstRow: number;
  rows: number;
}

/** How a tensor is cut into blocks of rows. */
export class RowCut {
  readonly rowElements: number;
  readonly rows: number;
  readonly sourceRowBytes: number;
  readonly targetRowBytes: number;
  private readonly most: number;

  /** Errors: `tensor-row-too-long`. */
  constructor(
    readonly tensor: OutputTensor,
    /** An importance matrix weighs each expert otherwise: no block crosses from one to the next. */
    private readonly weighted: boolean,
  ) {
    const { shape, source, type } = tensor;
    this.rowElements = shape[0] ?? 1;
    if (this.rowElements > longestRow)
      throw new JaugeError("tensor-row-too-long", {
        ...{ tensor: tensor.name, rowLength: this.rowElements, limit: longestRow },
      });
    this.rows = shape.slice(1).reduce((product, dimension) => product * dimension, 1);
    this.sourceRowBytes = bytesOfRows(source.type, 1, this.rowElements);
    this.targetRowBytes = bytesOfRows(type, 1, this.rowElements);
    const wanted = source.type === type ? copyBytes / this.sourceRowBytes : blockElements / this.rowElements;
    const most = Math.min(Math.floor(wanted), source.rowsPerRead ?? Number.POSITIVE_INFINITY, this.rows);
    this.most = Math.max(1, most);
  }

  get sourceBytes(): number {
    return this.rows * this.sourceRowBytes;
  }

  *blocks(): Generator<RowBlock> {
    const rowsPerExpert = this.tensor.shape[1] ?? 1;
    for (let firstRow = 0; firstRow < this.rows; ) {
      const inExpert = rowsPerExpert - (firstRow % rowsPerExpert);
      const rows = Math.min(this.most, this.rows - firstRow, this.weighted ? inExpert : this.rows);
      yield { firstRow, rows };
      firstRow += rows;
    }
  }

  /** What a lane must have room for. */
  get room(): LaneRoom {
    const { most, rowElements } = this;
    const isCopy = this.tensor.source.type === this.tensor.type;
    return {
      sourceBytes: most * this.sourceRowBytes,
      targetBytes: isCopy ? 0 : most * this.targetRowBytes,
      elements: isCopy || this.tensor.source.type === "F32" ? 0 : most * rowElements,
      rowElements: this.weighted ? rowElements : 0,
    };
  }
}

/** Room for any of these tensors. */
export function roomFor(cuts: readonly RowCut[]): LaneRoom {
  const room = { sourceBytes: 0, targetBytes: 0, elements: 0, rowElements: 0 };
  for (const cut of cuts)
    for (const [key, value] of Object.entries(cut.room) as [keyof LaneRoom, number][])
      room[key] = Math.max(room[key], value);
  return room;
}
