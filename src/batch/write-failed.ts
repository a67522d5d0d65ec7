import { JaugeError } from "../errors.js";
import { fileReasons } from "../messages/gguf.js";
import { localized } from "../messages/locale.js";

/** A failure to write as the error to show. */
export function writeFailed(path: string, cause: unknown): JaugeError<"batch-write-failed"> {
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const full = code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
  const reasons: Record<string, string> = localized(fileReasons);
  return new JaugeError("batch-write-failed", { path, reason: reasons[code] ?? message, full }, { cause });
}
