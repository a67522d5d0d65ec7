import { inBackground, type Pointer } from "../../engine/native/ffi.js";
import { type DotProduct, NativeRoom, type Quantizer } from "../../engine/native/quantizer.js";
import { JaugeError } from "../../errors.js";
import { type TensorTypeName, tensorTypes } from "../../gguf/tensor-types.js";
import type { RowsJob } from "../../quantize/kernels.js";
import { decoders } from "../views/decoded.js";

/** Elements that are looked through at once for the one that is refused. */
const searchedElements = 2 ** 16;
/** The least number that is rounded to F16's infinity. */
const beyondHalf = 65_520;

/**
 * Refuses rows that hold infinity or no number, before and after they are converted, as `llama_model_quantize` does
 * with all that it reads and makes: quantising hides most of them in blocks that look whole.
 */
export class WeightsCheck {
  /** By the types of single numbers. */
  private readonly products = new Map<TensorTypeName, DotProduct | undefined>();
  private readonly sum = new NativeRoom(4);

  constructor(private readonly quantizer: Quantizer) {}

  /** Checks rows as they were read. Errors: `weights-not-finite`. */
  async source(job: RowsJob, address: Pointer, bytes: Uint8Array): Promise<void> {
    // what is wrong stays wrong in 16 bits, where `result` finds it
    if (job.from !== job.to && isHalf(job.to) && !tensorTypes[job.from].quantised) return;
    if (await this.isFinite(job.from, address, bytes)) return;
    throw new JaugeError("weights-not-finite", { tensor: job.tensor, ...placeOf(job, bytes, isNotFinite) });
  }

  /**
   * Checks what became of rows, which are still in `bytes`. Errors: `weights-not-finite`; `weights-too-large` where
   * all of them are finite.
   */
  async result(job: RowsJob, address: Pointer, made: Uint8Array, bytes: Uint8Array): Promise<void> {
    const { tensor, to } = job;
    // floats hold whatever is finite in other types
    if (to === "F32" || (await this.isFinite(to, address, made))) return;
    const notFinite = placeOf(job, bytes, isNotFinite);
    if (notFinite.value !== undefined) throw new JaugeError("weights-not-finite", { tensor, ...notFinite });
    const place = to === "F16" ? placeOf(job, bytes, (value) => Math.abs(value) >= beyondHalf) : {};
    throw new JaugeError("weights-too-large", { tensor, type: to, ...place });
  }

  /** Short calls, of some microseconds, are made at once: going to a thread and back takes longer. */
  private async isFinite(type: TensorTypeName, address: Pointer, bytes: Uint8Array): Promise<boolean> {
    const { id, quantised } = tensorTypes[type];
    const { validateRows } = this.quantizer;
    if (quantised) return validateRows(id, address, bytes.byteLength);
    if (this.hasFiniteSum(type, address, bytes)) return true;
    return await inBackground(validateRows, id, address, bytes.byteLength);
  }

  /**
   * Whether the squares of all numbers add up to a finite one: then all are finite. It takes a tenth of the time of
   * looking at each; false says nothing, for squares of large floats are infinite.
   */
  private hasFiniteSum(type: TensorTypeName, address: Pointer, bytes: Uint8Array): boolean {
    if (!this.products.has(type)) this.products.set(type, this.quantizer.dotProduct(tensorTypes[type].id));
    const product = this.products.get(type);
    if (!product) return false;
    product(bytes.byteLength / tensorTypes[type].blockBytes, this.sum.address, 0, address, 0, address, 0, 1);
    return Number.isFinite(this.sum.floats[0]);
  }
}

function isHalf(type: TensorTypeName): boolean {
  return type === "F16" || type === "BF16";
}

function isNotFinite(value: number): boolean {
  return !Number.isFinite(value);
}

/** The first element that is so; nothing where there is none, or where the rows are blocks or lie anywhere. */
function placeOf(
  { from, firstRow, rowElements }: RowsJob,
  bytes: Uint8Array,
  isSo: (value: number) => boolean,
): { row?: number; column?: number; value?: string } {
  if (from !== "F32" && !isHalf(from)) return {};
  const decoder = decoders[from as "F32" | "F16" | "BF16"];
  const values = new Float32Array(searchedElements);
  for (let at = 0; at * decoder.bytes < bytes.byteLength; at += searchedElements) {
    const count = Math.min(searchedElements, bytes.byteLength / decoder.bytes - at);
    decoder.decode(bytes.subarray(at * decoder.bytes), values, count);
    const found = values.subarray(0, count).findIndex(isSo);
    if (found < 0) continue;
    const value = String(values[found]);
    if (firstRow === undefined) return { value };
    const row = firstRow + Math.floor((at + found) / rowElements);
    return { row, column: (at + found) % rowElements, value };
  }
  return {};
}
