/** What is looked at of an input before its job begins: a job of any size begins at once. */
export const glanceLimits = { lines: 20_000, bytes: 32_000_000 };
/** A pipe that says nothing for so long after its first line pauses. */
const pauseMs = 500;
/** A pipe that never pauses is not waited for longer than this after its first line. */
const mostMs = 3000;

const newline = 10;

/**
 * Reads a pipe ahead, once and within bounds, and hands on all of it: what was read ahead leaves the memory as the job
 * takes it.
 */
export class ReadAhead {
  private readonly iterator: AsyncIterator<Uint8Array>;
  /** Read, and not handed on. */
  private readonly ahead: Uint8Array[] = [];
  /** Handed on before the glance: what the format was told by. */
  private first: Uint8Array | undefined;
  private handed = 0;
  /** Asked for, and not there yet. */
  private asked: Promise<IteratorResult<Uint8Array>> | undefined;
  private isEnded = false;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.iterator = stream[Symbol.asyncIterator]();
  }

  /** All chunks, also those that a glance has seen. */
  async *rest(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const chunk = this.ahead.shift() ?? (await this.next());
      if (!chunk) return;
      this.first = this.handed++ === 0 ? chunk : undefined;
      yield chunk;
    }
  }

  /**
   * Whole lines from the beginning, up to the first pause, the end or the limits; all of them where `isWhole`. At most one
   * chunk may have been handed on before. An error of the pipe ends it, and is thrown to who reads the rest.
   */
  async glance(): Promise<{ chunks: Uint8Array[]; isWhole: boolean }> {
    if (this.handed > 1) throw new Error("a pipe is looked at before it is read");
    const chunks = this.first ? [this.first] : [];
    let lines = 0;
    let bytes = 0;
    for (const chunk of chunks) {
      lines += linesIn(chunk);
      bytes += chunk.length;
    }
    let since: number | undefined;
    while (!this.isEnded && lines < glanceLimits.lines && bytes < glanceLimits.bytes) {
      if (lines > 0) since ??= performance.now();
      const left = since === undefined ? undefined : since + mostMs - performance.now();
      const isThere = await this.arrives(left === undefined ? undefined : Math.min(pauseMs, left));
      if (!isThere) break;
      const chunk = await this.next().catch((error: unknown) => {
        this.asked = rejected(error);
        return undefined;
      });
      if (!chunk) break;
      this.ahead.push(chunk);
      chunks.push(chunk);
      lines += linesIn(chunk);
      bytes += chunk.length;
    }
    return this.isEnded ? { chunks, isWhole: true } : { chunks: wholeLines(chunks), isWhole: false };
  }

  /** Whether the next chunk, the end or an error is there within a time; waits for it where there is no limit. */
  private async arrives(ms: number | undefined): Promise<boolean> {
    const asked = this.ask().then(
      () => true,
      () => true,
    );
    if (ms === undefined) return await asked;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), Math.max(0, ms));
    });
    return await Promise.race([asked, late]).finally(() => clearTimeout(timer));
  }

  private async next(): Promise<Uint8Array | undefined> {
    if (this.isEnded) return undefined;
    const asked = this.ask();
    const result = await asked;
    this.asked = undefined;
    if (!result.done) return result.value;
    this.isEnded = true;
    return undefined;
  }

  private ask(): Promise<IteratorResult<Uint8Array>> {
    if (!this.asked) {
      this.asked = this.iterator.next();
      // Whoever waits for it is told; until then nobody may be there.
      this.asked.catch(() => {});
    }
    return this.asked;
  }
}

function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}

function linesIn(chunk: Uint8Array): number {
  let lines = 0;
  for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) lines++;
  return lines;
}

/** Without what stands behind the last line's end: the line it begins is not all there. */
function wholeLines(chunks: Uint8Array[]): Uint8Array[] {
  const last = chunks.findLastIndex((chunk) => chunk.includes(newline));
  if (last < 0) return [];
  return [...chunks.slice(0, last), chunks[last]!.subarray(0, chunks[last]!.lastIndexOf(newline) + 1)];
}
