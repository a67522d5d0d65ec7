import { NativeArray } from "../native/ffi.js";
import type { Batch } from "../native/structures.js";

/**
 * One `llama_batch` in native memory, allocated once and refilled for every micro-batch. Each token belongs to
 * one sequence, so the sequence-id pointers are fixed: token `i` points at word `i` of `sequenceIds`.
 */
export class BatchBuffer {
  readonly capacity: number;
  private count = 0;
  private outputCount = 0;
  private readonly tokens: NativeArray<Int32Array>;
  private readonly positions: NativeArray<Int32Array>;
  private readonly sequenceIds: NativeArray<Int32Array>;
  private readonly sequenceCounts: NativeArray<Int32Array>;
  private readonly sequencePointers: NativeArray<BigUint64Array>;
  private readonly outputs: NativeArray<Int8Array>;
  private readonly header: Batch;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.tokens = new NativeArray(Int32Array, capacity);
    this.positions = new NativeArray(Int32Array, capacity);
    this.sequenceIds = new NativeArray(Int32Array, capacity);
    this.sequenceCounts = new NativeArray(Int32Array, capacity);
    this.sequencePointers = new NativeArray(BigUint64Array, capacity);
    this.outputs = new NativeArray(Int8Array, capacity);
    this.sequenceCounts.view.fill(1);
    for (let index = 0; index < capacity; index++) {
      this.sequencePointers.view[index] = this.sequenceIds.address + BigInt(index * 4);
    }
    this.header = {
      n_tokens: 0,
      token: this.tokens.address,
      embd: null,
      pos: this.positions.address,
      n_seq_id: this.sequenceCounts.address,
      seq_id: this.sequencePointers.address,
      logits: this.outputs.address,
    };
  }

  clear(): void {
    this.count = 0;
    this.outputCount = 0;
  }

  get length(): number {
    return this.count;
  }

  /** Adds consecutive tokens of a sequence, the last `outputs` of them with logits; returns the first output's row. */
  add(sequence: number, position: number, tokens: Int32Array, outputs: number): number {
    const end = this.count + tokens.length;
    if (end > this.capacity) throw new RangeError(`${end} tokens in a micro-batch of ${this.capacity}`);
    this.tokens.view.set(tokens, this.count);
    for (let index = 0; index < tokens.length; index++) {
      this.positions.view[this.count + index] = position + index;
    }
    this.sequenceIds.view.fill(sequence, this.count, end);
    this.outputs.view.fill(0, this.count, end - outputs);
    this.outputs.view.fill(1, end - outputs, end);
    this.count = end;
    const firstRow = this.outputCount;
    this.outputCount += outputs;
    return firstRow;
  }

  get outputRows(): number {
    return this.outputCount;
  }

  /** The struct to pass by value. Valid until the next `clear`. */
  get native(): Batch {
    this.header.n_tokens = this.count;
    return this.header;
  }
}
