import { JaugeError } from "../errors.js";
import { reasonOf } from "../file-errors.js";

/** A failure to write as the error to show. */
export function writeFailed(path: string, cause: unknown): JaugeError<"batch-write-failed"> {
  const { code } = cause as NodeJS.ErrnoException;
  const full = code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
  return new JaugeError("batch-write-failed", { path, reason: reasonOf(cause), full }, { cause });
}
