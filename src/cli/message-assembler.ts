/**
 * Makes messages of typed lines: a line that ends in `\` goes on in the next; `"""` opens and closes a text of
 * several lines; lines pasted together stay together.
 */
export class MessageAssembler {
  private lines: string[] = [];
  private isQuoted = false;

  /** Whether a message has begun and is not complete. */
  get isOpen(): boolean {
    return this.lines.length > 0 || this.isQuoted;
  }

  /** Takes a line; gives the message that it completes, if it does. `pasted`: more lines come with it. */
  add(line: string, pasted = false): string | undefined {
    if (this.isQuoted) return this.addQuoted(line);
    if (this.lines.length === 0 && line.startsWith('"""')) {
      this.isQuoted = true;
      return this.addQuoted(line.slice(3), true);
    }
    if (pasted) {
      this.lines.push(line);
      return undefined;
    }
    if (line.endsWith("\\")) {
      this.lines.push(line.slice(0, -1));
      return undefined;
    }
    return this.complete(line);
  }

  /** Forgets what has begun. */
  clear(): void {
    this.lines = [];
    this.isQuoted = false;
  }

  private addQuoted(line: string, isFirst = false): string | undefined {
    if (line.endsWith('"""')) {
      const last = line.slice(0, -3);
      return last === "" && this.lines.length > 0 ? this.complete() : this.complete(last);
    }
    if (!(isFirst && line === "")) this.lines.push(line);
    return undefined;
  }

  private complete(...last: string[]): string {
    const message = [...this.lines, ...last].join("\n");
    this.clear();
    return message;
  }
}
