import { inBackground } from "../../engine/native/ffi.js";
import { llamaVersion } from "../../engine/native/libraries.js";
import { NativeRoom, type Quantizer, type RowConversion } from "../../engine/native/quantizer.js";
import { JaugeError } from "../../errors.js";
import { type TensorTypeName, tensorTypes } from "../../gguf/tensor-types.js";
import {
  bytesOfRows,
  type KernelLane,
  type LaneRoom,
  type QuantizeKernels,
  type RowsJob,
} from "../../quantize/kernels.js";
import { WeightsCheck } from "./weights-check.js";

/**
 * ggml's own arithmetic, as `llama_model_quantize` uses it: rows become floats, and floats blocks. Calls run on libuv's
 * threads, at most `threads` at a time, so that the pool keeps some for reading and writing.
 */
export function nativeKernels(quantizer: Quantizer, threads: number): QuantizeKernels {
  const gate = new Gate(threads);
  const readers = new Map<TensorTypeName, RowConversion>();
  const toFloat = (type: TensorTypeName): RowConversion => {
    let reader = readers.get(type);
    if (!reader) {
      reader = readerOf(quantizer, type);
      readers.set(type, reader);
    }
    return reader;
  };
  return {
    version: llamaVersion,
    async prepare(types) {
      for (const type of types) await inBackground(quantizer.prepare, tensorTypes[type].id);
    },
    lane: (room) => new Lane(quantizer, gate, toFloat, room),
  };
}

function readerOf(quantizer: Quantizer, type: TensorTypeName): RowConversion {
  if (type === "F16") return quantizer.fp16ToFloat;
  if (type === "BF16") return quantizer.bf16ToFloat;
  const reader = tensorTypes[type].quantised ? quantizer.blocksToFloat(tensorTypes[type].id) : undefined;
  if (!reader) throw new JaugeError("tensor-type-unreadable", { type });
  return reader;
}

class Lane implements KernelLane {
  readonly source: Uint8Array;
  readonly importance: Float32Array;
  private readonly input: NativeRoom;
  private readonly floats: NativeRoom;
  private readonly output: NativeRoom;
  private readonly weights: NativeRoom;
  private readonly check: WeightsCheck;

  constructor(
    private readonly quantizer: Quantizer,
    private readonly gate: Gate,
    private readonly toFloat: (type: TensorTypeName) => RowConversion,
    room: LaneRoom,
  ) {
    this.input = new NativeRoom(room.sourceBytes);
    this.floats = new NativeRoom(4 * room.elements);
    this.output = new NativeRoom(room.targetBytes);
    this.weights = new NativeRoom(4 * room.rowElements);
    this.check = new WeightsCheck(quantizer);
    this.source = this.input.bytes;
    this.importance = this.weights.floats;
  }

  convert(job: RowsJob): Promise<Uint8Array> {
    const { from, to, rows, rowElements } = job;
    const source = this.input.bytes.subarray(0, bytesOfRows(from, rows, rowElements));
    return this.gate.pass(async () => {
      await this.check.source(job, this.input.address, source);
      if (from === to) return source;
      const made = this.output.bytes.subarray(0, bytesOfRows(to, rows, rowElements));
      await this.quantise(job, made.byteLength);
      await this.check.result(job, this.output.address, made, source);
      return made;
    });
  }

  private async quantise({ tensor, from, to, rows, rowElements, weighted }: RowsJob, bytes: number) {
    let floats = this.input.address;
    if (from !== "F32") {
      floats = this.floats.address;
      await inBackground(this.toFloat(from), this.input.address, floats, rows * rowElements);
    }
    if (to === "F16") {
      await inBackground(this.quantizer.floatToFp16(), floats, this.output.address, rows * rowElements);
      return;
    }
    const weights = weighted ? this.weights.address : null;
    const written = await inBackground(
      ...([this.quantizer.quantizeChunk, tensorTypes[to].id, floats, this.output.address] as const),
      ...([0, rows, rowElements, weights] as const),
    );
    if (Number(written) !== bytes)
      throw new Error(`${tensor}: ${written} bytes of ${to} instead of ${bytes}`);
  }
}

/** Lets so many through at a time, in the order they came. */
class Gate {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async pass<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    }
  }
}
