import type { TensorTypeName } from "../gguf/tensor-types.js";
import { columnWeights, type ImportanceMatrix } from "../quantize/importance-matrix.js";
import { bytesOfRows, type KernelLane, type QuantizeKernels } from "../quantize/kernels.js";
import type { ConvertibleTensor } from "./model.js";

/** Rows at least, however long they are: one may be an exception. */
const leastRows = 8;

/** Buffers to quantise samples with, one tensor at a time; native memory that is used again for each. */
export interface SampleLanes {
  /** Turns rows of the source into floats, … */
  decoder: KernelLane;
  /** … floats into a type, … */
  encoder: KernelLane;
  /** … and that into floats again. */
  reader: KernelLane;
}

/** Lanes with room for a sample of any of these tensors. */
export function sampleLanes(
  kernels: QuantizeKernels,
  tensors: readonly ConvertibleTensor[],
  sampledElements: number,
): SampleLanes {
  let [sourceBytes, elements, rowElements] = [0, 0, 0];
  for (const tensor of tensors) {
    const [length, count] = [tensor.shape[0] ?? 1, sampledRows(tensor, sampledElements).length];
    sourceBytes = Math.max(sourceBytes, bytesOfRows(tensor.type, count, length));
    elements = Math.max(elements, count * length);
    rowElements = Math.max(rowElements, length);
  }
  const room = { sourceBytes: 4 * elements, targetBytes: 4 * elements, elements: 0, rowElements: 0 };
  return {
    decoder: kernels.lane({ ...room, sourceBytes, elements }),
    encoder: kernels.lane({ ...room, rowElements }),
    reader: kernels.lane({ ...room, elements }),
  };
}

/** The rows that are taken, evenly spread over all. */
function sampledRows({ shape }: ConvertibleTensor, sampledElements: number): number[] {
  const all = shape.slice(1).reduce((product, dimension) => product * dimension, 1);
  const count = Math.min(all, Math.max(leastRows, Math.ceil(sampledElements / (shape[0] ?? 1))));
  return Array.from({ length: count }, (_, index) => Math.floor(((index + 0.5) * all) / count));
}

/** Whether an importance matrix weighs the columns of a tensor. */
export function isWeighted(
  { name, shape }: Pick<ConvertibleTensor, "name" | "shape">,
  matrix: ImportanceMatrix | undefined,
): boolean {
  const values = (shape[0] ?? 1) * (shape[2] ?? 1) * (shape[3] ?? 1);
  return matrix?.entries.get(name)?.values === values;
}

/** Rows of one tensor, evenly spread over all of it, and what each type makes of them. */
export class TensorSample {
  /** Whether an importance matrix weighs the columns. */
  readonly weighted: boolean;
  private readonly rowElements: number;
  private readonly rows: readonly number[];
  /** The rows as floats, one after the other. */
  private floats: Float32Array = new Float32Array(0);
  private weights: Float32Array | undefined;

  constructor(
    private readonly tensor: ConvertibleTensor,
    sampledElements: number,
    private readonly lanes: SampleLanes,
    private readonly matrix: ImportanceMatrix | undefined,
  ) {
    this.rowElements = tensor.shape[0] ?? 1;
    this.rows = sampledRows(tensor, sampledElements);
    this.weighted = isWeighted(tensor, matrix);
  }

  /** Reads the rows and their weights. Errors: those of the source, of the kernels and of `columnWeights`. */
  async read(): Promise<void> {
    const { tensor, rowElements, rows } = this;
    const rowBytes = bytesOfRows(tensor.type, 1, rowElements);
    for (const [index, row] of rows.entries())
      await tensor.readRows(
        this.lanes.decoder.source.subarray(index * rowBytes, (index + 1) * rowBytes),
        row,
      );
    this.floats = await this.asFloats(this.lanes.decoder, tensor.type, rows.length);
    if (this.weighted)
      this.weights = await columnWeights(this.matrix!, this.matrix!.entries.get(tensor.name)!);
  }

  /** Σ h·(w − ŵ)² / Σ h·w² over the rows; 0 for rows of zeros. Errors: those of the kernels. */
  async errorOf(type: TensorTypeName): Promise<number> {
    if (type === this.tensor.type) return 0;
    let error = 0;
    let whole = 0;
    for (const { start, end, expert } of this.groups()) {
      const found = await this.throughType(type, start, end, expert);
      const weights = this.weightsOf(expert);
      const { rowElements, floats } = this;
      for (let row = start; row < end; row++) {
        for (let column = 0; column < rowElements; column++) {
          const value = floats[row * rowElements + column]!;
          const difference = value - found[(row - start) * rowElements + column]!;
          const weight = weights ? weights[column]! : 1;
          error += weight * difference * difference;
          whole += weight * value * value;
        }
      }
    }
    return whole === 0 ? 0 : error / whole;
  }

  /** Sampled rows that are quantised in one call: all of them, or where they are weighted, those of one expert. */
  private *groups(): Generator<{ start: number; end: number; expert: number }> {
    const perExpert = this.weighted ? (this.tensor.shape[1] ?? 1) : Number.POSITIVE_INFINITY;
    for (let start = 0; start < this.rows.length; ) {
      const expert = Math.floor(this.rows[start]! / perExpert);
      let end = start + 1;
      while (end < this.rows.length && Math.floor(this.rows[end]! / perExpert) === expert) end++;
      yield { start, end, expert };
      start = end;
    }
  }

  private weightsOf(expert: number): Float32Array | undefined {
    return this.weights?.subarray(expert * this.rowElements, (expert + 1) * this.rowElements);
  }

  /** Rows as they come back from a type; valid until the next call. */
  private async throughType(
    to: TensorTypeName,
    start: number,
    end: number,
    expert: number,
  ): Promise<Float32Array> {
    const { tensor, rowElements } = this;
    const { encoder, reader } = this.lanes;
    const weights = this.weightsOf(expert);
    if (weights) encoder.importance.set(weights);
    const rows = end - start;
    const values = this.floats.subarray(start * rowElements, end * rowElements);
    encoder.source.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    const data = await encoder.convert({
      ...{ tensor: tensor.name, from: "F32", to, rows, rowElements, weighted: weights !== undefined },
    });
    reader.source.set(data);
    return await this.asFloats(reader, to, rows);
  }

  /** The rows in a lane's source, as floats of their own. */
  private async asFloats(lane: KernelLane, from: TensorTypeName, rows: number): Promise<Float32Array> {
    const { tensor, rowElements } = this;
    const job = { tensor: tensor.name, from, to: "F32", rows, rowElements, weighted: false } as const;
    const bytes = await lane.convert(job);
    return new Float32Array(bytes.slice().buffer);
  }
}
