import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { unreadable, unwritable } from "../../file-errors.js";
import { bytesOfRow } from "../log-probabilities.js";
import type { ScoringWindow } from "../protocol.js";

/** How far below the most probable token a row still tells tokens apart, in nats: e⁻²⁴ is 4 × 10⁻¹¹. */
const rangeNats = 24;
const mostCode = 65_535;
const stepNats = rangeNats / (mostCode - 1);
/** Probability of each code relative to the most probable token's; 0 for what is below the range. */
const probabilities = Float64Array.from({ length: mostCode + 1 }, (_, code) =>
  code === 0 ? 0 : Math.exp((code - mostCode) * stepNats),
);

/**
 * The predictions of one model, a row for each scored position, in a file: written while it is loaded, held against
 * another model's when that one is. A row is the most probable token (uint32) and, every token of the vocabulary, a uint16: 65535 at the top, less for each `stepNats` below it, 0 for
 * what is over `rangeNats` below. Little-endian, as all machines are that this runs on; the file does not outlive its
 * comparison.
 */
export class BaseRows {
  readonly mode: "write" | "compare";
  private readonly row: Uint8Array;
  private readonly codes: Uint16Array;
  private readonly top: Uint32Array;

  private constructor(
    private readonly base: NonNullable<ScoringWindow["base"]>,
    private readonly handle: number,
    vocabularySize: number,
  ) {
    this.mode = base.mode;
    this.row = new Uint8Array(bytesOfRow(vocabularySize));
    this.top = new Uint32Array(this.row.buffer, 0, 1);
    this.codes = new Uint16Array(this.row.buffer, 4, vocabularySize);
  }

  /** Errors: `file-unwritable`, `file-unreadable`. */
  static open(base: NonNullable<ScoringWindow["base"]>, vocabularySize: number): BaseRows {
    const { path, mode } = base;
    try {
      return new BaseRows(base, openSync(path, mode === "write" ? "r+" : "r"), vocabularySize);
    } catch (cause) {
      throw mode === "write" ? unwritable(path, cause) : unreadable(path, cause);
    }
  }

  /** Errors: `file-unwritable`. */
  write(index: number, logits: Float32Array, top: number): void {
    const { codes } = this;
    const greatest = logits[top]!;
    this.top[0] = top;
    for (let token = 0; token < codes.length; token++) {
      const code = mostCode + (logits[token]! - greatest) / stepNats;
      codes[token] = code < 0.5 ? 0 : code + 0.5;
    }
    this.transfer(index, (done, position) =>
      writeSync(this.handle, this.row, done, this.row.length - done, position),
    );
  }

  /**
   * The divergence of a prediction from the one in the file: Σ p·(ln p − ln q) in nats, over all tokens within the
   * range. `normalizer` is what a logit minus is its log-probability. What rounding did to the sum of p is divided out, so that it is never negative. Errors: `file-unreadable`.
   */
  compare(index: number, logits: Float32Array, normalizer: number): { divergence: number; baseTop: number } {
    this.transfer(index, (done, position) =>
      readSync(this.handle, this.row, done, this.row.length - done, position),
    );
    const { codes } = this;
    let sum = 0;
    let difference = 0;
    for (let token = 0; token < codes.length; token++) {
      const code = codes[token]!;
      if (code === 0) continue;
      const probability = probabilities[code]!;
      sum += probability;
      difference += probability * ((code - mostCode) * stepNats - logits[token]!);
    }
    const divergence = difference / sum + normalizer - Math.log(sum);
    return { divergence: Math.max(0, divergence), baseTop: this.top[0]! };
  }

  close(): void {
    closeSync(this.handle);
  }

  /** Moves a whole row, however little of it one system call takes. */
  private transfer(index: number, move: (done: number, position: number) => number): void {
    const { path, mode, firstRow } = this.base;
    const start = (firstRow + index) * this.row.length;
    const failed = mode === "write" ? unwritable : unreadable;
    for (let done = 0; done < this.row.length; ) {
      let moved = 0;
      try {
        moved = move(done, start + done);
      } catch (cause) {
        throw failed(path, cause);
      }
      if (moved === 0) throw failed(path, Object.assign(new Error(), { code: "EIO" }));
      done += moved;
    }
  }
}
