/** The last lines of a log, bounded. */
export class LogTail {
  private readonly lines: string[] = [];
  private partial = "";

  constructor(private readonly onLine: ((line: string) => void) | undefined) {}

  add(text: string): void {
    const lines = (this.partial + text).split("\n");
    this.partial = lines.pop() ?? "";
    for (const line of lines) {
      this.onLine?.(line);
      this.lines.push(line);
      if (this.lines.length > 200) this.lines.splice(0, 100);
    }
  }

  get text(): string {
    return [...this.lines, this.partial].join("\n").trim();
  }

  /** The lines that speak of something wrong; those a person should see with an error. */
  get errors(): string {
    const wrong = [...this.lines, this.partial].filter((line) =>
      /error|fail|invalid|unable|unknown|abort|assert|missing|out of memory|cannot(?! be used with preferred)|requires|does not/i.test(
        line,
      ),
    );
    return wrong.slice(-6).join("\n").trim();
  }
}
