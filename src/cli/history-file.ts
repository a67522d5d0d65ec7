import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** Lines kept from one chat to the next. */
const mostLines = 1000;

/**
 * The lines typed in chats, oldest first, readable by their owner only. A chat without history is better than no
 * chat: where the file cannot be used, it is done without.
 */
export class HistoryFile {
  readonly lines: string[];

  constructor(private readonly path = historyPath()) {
    this.lines = this.read();
  }

  /** Adds a line at once, so that chats that run side by side keep each other's. */
  add(line: string): void {
    if (line.trim() === "" || line === this.lines.at(-1)) return;
    this.lines.push(line);
    attempt(() => appendFileSync(this.path, `${line}\n`, { mode: 0o600 }));
  }

  private read(): string[] {
    attempt(() => mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 }));
    const lines = attempt(() => readFileSync(this.path, "utf8").split("\n").filter(Boolean)) ?? [];
    if (lines.length === 0) return lines;
    const kept = lines.slice(-mostLines);
    attempt(() => chmodSync(this.path, 0o600));
    if (lines.length > 2 * mostLines) attempt(() => writeFileSync(this.path, `${kept.join("\n")}\n`));
    return kept;
  }
}

/** The state folder of the XDG base directory specification, and its like on Windows. */
function historyPath(): string {
  const { XDG_STATE_HOME, LOCALAPPDATA } = process.env;
  const windows = process.platform === "win32" ? LOCALAPPDATA : undefined;
  return join(XDG_STATE_HOME || windows || join(homedir(), ".local", "state"), "jauge", "history");
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
