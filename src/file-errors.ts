import { JaugeError } from "./errors.js";
import { fileReasons } from "./messages/gguf.js";
import { localized } from "./messages/locale.js";

/** The `file-unreadable` error of a failed system call. */
export function unreadable(path: string, cause: unknown): JaugeError<"file-unreadable"> {
  const code = (cause as NodeJS.ErrnoException)?.code ?? "";
  const reasons: Record<string, string> = localized(fileReasons);
  const reason = reasons[code] ?? (cause as Error)?.message ?? String(cause);
  return new JaugeError("file-unreadable", { path, reason }, { cause });
}

/**
 * The `file-unwritable` error of a failed system call. What is made anew lacks nothing but its folder; only a renaming
 * can lack the file.
 */
export function unwritable(path: string, cause: unknown): JaugeError<"file-unwritable"> {
  const reasons: Record<string, string> = localized(fileReasons);
  const { code = "", syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  const isFolder = code === "ENOENT" && syscall !== "rename";
  const reason = reasons[isFolder ? "noFolder" : code] ?? String((cause as Error)?.message ?? cause);
  return new JaugeError("file-unwritable", { path, reason }, { cause });
}
