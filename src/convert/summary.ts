import { tensorBytes } from "../gguf/tensor-types.js";
import type { ConversionPlan } from "./conversion.js";
import type { PlannedSummary } from "./host-messages.js";

/** A plan as plain data, for people and other processes. */
export function summaryOf({ format, notes, files, weighted }: ConversionPlan): PlannedSummary {
  return {
    format,
    notes,
    files: files.map(({ path, layout, tensors }) => ({
      path,
      bytes: layout.totalBytes,
      tensors: tensors.length,
    })),
    tensors: files.flatMap(({ tensors }) =>
      tensors.map(({ name, type, shape, source }) => ({
        ...{ name, from: source.type, type, weighted: weighted.has(name) },
        bytesBefore: tensorBytes(source.type, shape) ?? 0,
        bytes: tensorBytes(type, shape) ?? 0,
      })),
    ),
  };
}
