import { type TensorTypeName, tensorBytes } from "../gguf/tensor-types.js";

/** What turns rows of one type into rows of another; the process that quantises brings the native ones. */
export interface QuantizeKernels {
  /** llama.cpp's version: another may round otherwise. */
  readonly version: string;
  /** Prepares the tables of these types; a second time does nothing. */
  prepare(types: readonly TensorTypeName[]): Promise<void>;
  /** Buffers for one block of rows at a time. */
  lane(room: LaneRoom): KernelLane;
}

/** The largest blocks that a lane will see. */
export interface LaneRoom {
  sourceBytes: number;
  targetBytes: number;
  elements: number;
  /** Elements of the longest row, which is what an importance matrix weighs. */
  rowElements: number;
}

export interface KernelLane {
  /** Where the rows to convert are read to. */
  readonly source: Uint8Array;
  /** One weight for each element of a row; set before a job that uses it. */
  readonly importance: Float32Array;
  /**
   * Converts the rows at the start of `source`. What it returns is valid until the next job. Errors:
   * `weights-not-finite` where the rows hold infinity or no number, whatever the types; `weights-too-large` where they
   * hold numbers that the wanted type cannot.
   */
  convert(job: RowsJob): Promise<Uint8Array>;
}

export interface RowsJob {
  /** As errors name it. */
  tensor: string;
  /** Where they lie in it, as errors name it; absent where they do not follow each other. */
  firstRow?: number;
  from: TensorTypeName;
  to: TensorTypeName;
  rows: number;
  rowElements: number;
  /** Whether `importance` weighs the rows. */
  weighted: boolean;
}

/** Kernels that convert nothing and look at nothing: to copy, split and merge. */
export const copyKernels: QuantizeKernels = {
  version: "none",
  prepare: async () => {},
  lane: ({ sourceBytes }) => {
    const source = new Uint8Array(sourceBytes);
    return {
      source,
      importance: new Float32Array(0),
      convert: async ({ from, to, rows, rowElements, tensor }) => {
        if (from !== to) throw new TypeError(`${tensor}: nothing here turns ${from} into ${to}`);
        return source.subarray(0, bytesOfRows(from, rows, rowElements));
      },
    };
  },
};

/** Bytes of whole rows. RangeError where the type's blocks do not divide a row. */
export function bytesOfRows(type: TensorTypeName, rows: number, rowElements: number): number {
  const bytes = tensorBytes(type, [rowElements, rows]);
  if (bytes === undefined) throw new RangeError(`${rows} rows of ${rowElements} cannot be ${type}`);
  return bytes;
}
