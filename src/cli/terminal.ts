import { once } from "node:events";
import { styleText } from "node:util";
import { formatBytes } from "../units.js";

type Stream = NodeJS.WriteStream;
type Style = Parameters<typeof styleText>[0];

/** Colours `text` where `stream` shows colours: a terminal, and neither NO_COLOR nor a dumb one. */
export function styled(style: Style, text: string, stream: Stream = process.stdout): string {
  const plain = !stream.isTTY || Boolean(process.env.NO_COLOR) || process.env.TERM === "dumb";
  return plain ? text : styleText(style, text);
}

/** Writes to standard output, and waits where its reader is slower than we are. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}

/** Writes a line for the person to standard error, dimmed. */
export function note(text: string): void {
  process.stderr.write(`${styled("dim", text, process.stderr)}\n`);
}

/** Shows what goes on, in place of what was shown before, on a terminal only. Empty removes it. */
export function showStatus(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Columns padded to the same width, two blanks apart. The columns named in `right` are aligned to the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  }
  const pad = (cell: string, index: number) =>
    right.includes(index) ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
  return rows.map((row) => row.map(pad).join("  ").trimEnd());
}

/** A Markdown table, as llama-bench prints it. The columns named in `right` are aligned to the right. */
export function markdownTable(rows: readonly (readonly string[])[], right: readonly number[]): string[] {
  const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => row[index]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, index) => (right.includes(index) ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!))).join(" | ")} |`;
  const rule = widths.map((width, index) =>
    right.includes(index) ? `${"-".repeat(width + 1)}:` : "-".repeat(width + 2),
  );
  return [line(rows[0]!), `|${rule.join("|")}|`, ...rows.slice(1).map(line)];
}

/** What takes less than this shows nothing. */
const silentMs = 1000;

/**
 * Shows how far something is, on standard error, once it takes over a second: a bar with time left, and the rate where it
 * is of `bytes` bytes, on a terminal; else a line for every tenth.
 */
export class LoadProgress {
  private readonly start = performance.now();
  private drawn = false;
  private lastTenth = 0;

  constructor(
    private readonly label: string,
    private readonly bytes: number | undefined,
    private readonly stream: Stream = process.stderr,
  ) {}

  update(fraction: number): void {
    const elapsedMs = performance.now() - this.start;
    if (elapsedMs < silentMs || fraction >= 1) return;
    if (this.stream.isTTY) {
      this.stream.write(`\r\x1b[K${this.bar(fraction, elapsedMs)}`);
      this.drawn = true;
    } else if (Math.floor(fraction * 10) > this.lastTenth) {
      this.lastTenth = Math.floor(fraction * 10);
      this.stream.write(`${this.label} ${this.figures(fraction, elapsedMs)}\n`);
    }
  }

  /** Removes the bar. */
  done(): void {
    if (this.drawn) this.stream.write("\r\x1b[K");
    this.drawn = false;
  }

  private bar(fraction: number, elapsedMs: number): string {
    const figures = this.figures(fraction, elapsedMs);
    const width = Math.min(30, (this.stream.columns ?? 80) - this.label.length - figures.length - 4);
    if (width < 5) return figures.slice(0, (this.stream.columns ?? 80) - 1);
    const full = Math.round(fraction * width);
    return `${this.label} ${"█".repeat(full)}${"░".repeat(width - full)} ${figures}`;
  }

  private figures(fraction: number, elapsedMs: number): string {
    const percent = `${Math.floor(fraction * 100)} %`;
    if (fraction <= 0) return percent;
    const rate =
      this.bytes === undefined ? "" : `${formatBytes((fraction * this.bytes * 1000) / elapsedMs)}/s  `;
    const leftMs = (elapsedMs * (1 - fraction)) / fraction;
    return `${percent}  ${rate}${Math.ceil(leftMs / 1000)} s`;
  }
}
