import { JaugeError } from "./errors.js";
import { fileReasons } from "./messages/gguf.js";
import { localized } from "./messages/locale.js";

/** The `file-unreadable` error of a failed system call. */
export function unreadable(path: string, cause: unknown): JaugeError<"file-unreadable"> {
  return new JaugeError("file-unreadable", { path, reason: reasonOf(cause) }, { cause });
}

/**
 * The `file-unwritable` error of a failed system call. What is made anew lacks nothing but its folder; only a renaming
 * can lack the file.
 */
export function unwritable(path: string, cause: unknown): JaugeError<"file-unwritable"> {
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  const isFolder = code === "ENOENT" && syscall !== "rename";
  const reason = isFolder ? localized(fileReasons).noFolder : reasonOf(cause);
  return new JaugeError("file-unwritable", { path, reason }, { cause });
}

/** Why a system call failed, in the person's language where its errno is known. */
export function reasonOf(cause: unknown): string {
  const { code = "", message } = (cause ?? {}) as NodeJS.ErrnoException;
  const reasons: Record<string, string> = localized(fileReasons);
  return reasons[code] ?? message ?? String(cause);
}
