/** Stands in a log before what a request's work writes to it. */
export function logMark(request: number): string {
  return `\u001e${request}`;
}

/** The last lines of a log, bounded. */
export class LogTail {
  private readonly lines: string[] = [];
  private partial = "";

  constructor(private readonly onLine: ((line: string) => void) | undefined) {}

  add(text: string): void {
    const lines = (this.partial + text).split("\n");
    this.partial = lines.pop() ?? "";
    for (const line of lines) {
      if (!isMark(line)) this.onLine?.(line);
      // Of a request that wrote nothing: many of them must not take the place of lines.
      else if (isMark(this.lines.at(-1) ?? "")) this.lines.pop();
      this.lines.push(line);
      if (this.lines.length > 200) this.lines.splice(0, 100);
    }
  }

  get text(): string {
    return this.all
      .filter((line) => !isMark(line))
      .join("\n")
      .trim();
  }

  /** The lines that speak of something wrong; those a person should see with an error. */
  get errors(): string {
    return wrongOf(this.all);
  }

  /** The same of what stands behind a request's mark alone; of all where it has none. */
  errorsOf(request: number): string {
    const begin = this.all.lastIndexOf(logMark(request));
    if (begin < 0) return this.errors;
    const behind = this.all.slice(begin + 1);
    const end = behind.findIndex(isMark);
    return wrongOf(end < 0 ? behind : behind.slice(0, end));
  }

  private get all(): string[] {
    return [...this.lines, this.partial];
  }
}

function isMark(line: string): boolean {
  return line.startsWith("\u001e");
}

function wrongOf(lines: readonly string[]): string {
  const wrong = lines.filter((line) =>
    /error|fail|invalid|unable|unknown|abort|assert|missing|out of memory|cannot(?! be used with preferred)|requires|does not|unsupported/i.test(
      line,
    ),
  );
  return wrong.slice(-6).join("\n").trim();
}
