import type { ConversionRequest, CopyRequest } from "./conversion.js";
import type { ConversionProgress } from "./make-model.js";
import type { Measurement, MeasureProgress, MeasureRequest } from "./measure-types.js";
import type { SourceNote } from "./model.js";

/** Which of llama.cpp's libraries to quantise with; the CPU's where nothing is said. */
export interface LibraryChoice {
  backend?: "auto" | "cpu" | "vulkan" | "cuda" | "metal";
  directory?: string;
}

/** What the parent sends to the process that converts. */
export type ToConvertHost =
  | {
      start: {
        request: ConversionRequest | CopyRequest | MeasureRequest;
        libraries: LibraryChoice;
        version: string;
      };
    }
  | { cancel: true };

/** What a conversion is about to write. */
export interface PlannedSummary {
  format: string;
  notes: readonly SourceNote[];
  files: { path: string; bytes: number; tensors: number }[];
  tensors: {
    name: string;
    from: string;
    type: string;
    bytesBefore: number;
    bytes: number;
    weighted: boolean;
  }[];
}

export interface ConversionResult {
  /** Of all files. */
  bytes: number;
  /** Most memory that the process which converted had at once. */
  peakBytes: number;
}

/** What that process answers. */
export type FromConvertHost =
  | { planned: PlannedSummary }
  | { progress: ConversionProgress }
  /** All data are written; they are being read back. */
  | { verifying: true }
  | { measuring: MeasureProgress }
  | { done: ConversionResult | Measurement }
  | { error: { code: string; facts: unknown } | { message: string; stack: string } };
