import { JaugeError } from "../errors.js";

/** A failure to write as the error to show. */
export function writeFailed(path: string, cause: unknown): JaugeError<"batch-write-failed"> {
  const { code, message } = cause as NodeJS.ErrnoException;
  const full = code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
  return new JaugeError("batch-write-failed", { path, reason: message, full }, { cause });
}
