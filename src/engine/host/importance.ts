import { JaugeError } from "../../errors.js";
import { NativeArray, type Pointer } from "../native/ffi.js";
import type { Libraries } from "../native/libraries.js";
import {
  evalCallbackOf,
  openTensorFunctions,
  operations,
  type TensorFunctions,
  type TensorView,
} from "../native/observer.js";
import type { ImportanceEntry } from "../protocol.js";

/** Number of F32 in `enum ggml_type`. */
const f32 = 0;
/** Below this many tokens llama.cpp leaves a multiplication out: it may be one of a few sampled rows. */
const leastTokens = 16;

/** What was collected for one matrix: for each of its experts (or the one matrix) a sum per column. */
interface Collected {
  /** Columns of the matrix. */
  columns: number;
  /** `columns` sums of squares for each matrix, one after the other. */
  sums: Float32Array;
  /** Rows that each matrix has seen; one count for all of a dense stack. */
  counts: Float64Array;
}

/**
 * Watches a context compute and adds up, for every weight matrix, the squares of what it is multiplied by: the
 * importance of its columns. Matrices of layers are collected, and with `output` the output matrix.
 *
 * Which multiplications count, and how experts and stacks are laid out, is as in tools/imatrix/imatrix.cpp of
 * llama.cpp v0.5.0; there too the sums are 32-bit numbers. Those of one micro-batch are added in 64 bits first.
 */
export class ImportanceCollector {
  /** What goes into `cb_eval`. */
  readonly callback: Pointer;
  private readonly functions: TensorFunctions;
  private readonly collected = new Map<string, Collected>();
  private readonly activations = new ReadBuffer(Float32Array);
  private readonly expertIds = new ReadBuffer(Int32Array);
  private rowSums = new Float64Array(0);
  /** The input that `rowSums` is of: several matrices are multiplied by the same one after another. */
  private summed: Pointer = 0n;
  private isCollecting = false;
  private failure: unknown;

  constructor(
    libraries: Libraries,
    private readonly options: { output: boolean },
  ) {
    this.functions = openTensorFunctions(libraries);
    this.callback = evalCallbackOf((tensor, ask) => this.observe(tensor, ask));
  }

  /** Collects what one graph computes while `compute` runs. Errors: `importance-not-finite`. */
  async during<Result>(compute: () => Promise<Result>): Promise<Result> {
    this.isCollecting = true;
    // Graphs are used again for other tokens, with the same tensors in them.
    this.summed = 0n;
    try {
      const result = await compute();
      if (this.failure !== undefined) throw this.failure;
      return result;
    } finally {
      this.isCollecting = false;
      this.failure = undefined;
    }
  }

  /** All matrices by name, without their sums. */
  entries(): ImportanceEntry[] {
    return [...this.collected]
      .map(([name, { columns, counts, sums }]) => ({
        name,
        columns,
        counts,
        matrices: sums.length / columns,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  sums(name: string): Float32Array {
    const found = this.collected.get(name);
    if (!found) throw new Error(`nothing was collected for ${name}`);
    return found.sums;
  }

  /** Adds what was collected before. Errors: `importance-sizes-differ` where the shapes differ. */
  add({ name, columns, counts }: ImportanceEntry, sums: Float32Array): null {
    const matrices = sums.length / columns;
    const into = this.into(name, columns, matrices, counts.length);
    for (let index = 0; index < sums.length; index++) into.sums[index]! += sums[index]!;
    // A file of another program may have one count for a stack of experts, or one each for a dense stack.
    for (let index = 0; index < into.counts.length; index++)
      into.counts[index]! += counts[counts.length === into.counts.length ? index : 0]!;
    return null;
  }

  private observe(tensor: Pointer, ask: boolean): boolean {
    if (!this.isCollecting) return !ask;
    const operation = this.functions.operationOf(tensor);
    const wanted = operation === operations.MUL_MAT || operation === operations.MUL_MAT_ID;
    if (!wanted) return !ask;
    try {
      const { sources } = this.functions.view(tensor);
      const [weights, input] = [this.functions.view(sources[0]!), this.functions.view(sources[1]!)];
      const name = matrixName(weights.name);
      const isExperts = operation === operations.MUL_MAT_ID;
      if (ask) return this.isWanted(name, input, isExperts);
      if (this.failure !== undefined) return true;
      if (isExperts) this.collectExperts(name, weights, input, sources[1]!, sources[2]!);
      else this.collect(name, weights, input, sources[1]!);
    } catch (error) {
      // An exception must not cross the native frames between here and the decode.
      this.failure ??= error;
    }
    return true;
  }

  private isWanted(name: string, input: TensorView, isExperts: boolean): boolean {
    if (input.type !== f32) return false;
    if (isExperts) return true;
    if (input.shape[1]! < leastTokens) return false;
    return name.startsWith("blk.") || (this.options.output && name === "output.weight");
  }

  /** A matrix, or a stack of them; what is three-dimensional beyond the stack is taken flat. */
  private collect(name: string, weights: TensorView, input: TensorView, address: Pointer): void {
    const [columns, rows, planes, volumes] = input.shape as [number, number, number, number];
    const [stack, outerStack] = [weights.shape[2]!, weights.shape[3]!];
    const matrices = stack * outerStack;
    const into = this.into(name, columns, matrices, 1);
    if (matrices === 1) {
      if (this.summed !== address) {
        this.sumRows(input, address);
        this.summed = address;
      }
      addFinite(name, into.sums, 0, this.rowSums, columns);
    } else {
      const values = this.activations.read(this.functions, input, address);
      for (let volume = 0; volume < volumes; volume++) {
        for (let plane = 0; plane < planes; plane++) {
          const matrix = (volume % outerStack) * stack + (plane % stack);
          this.startRow(columns);
          for (let row = 0; row < rows; row++)
            addSquares(this.rowSums, values, elementAt(input, row, plane, volume), columns);
          addFinite(name, into.sums, matrix * columns, this.rowSums, columns);
        }
      }
      this.summed = 0n;
    }
    const seen = (rows * planes * volumes) / matrices;
    for (let index = 0; index < into.counts.length; index++) into.counts[index]! += seen;
  }

  /** `input` has a row for each token and expert used, or one for all experts of a token; `ids` says which experts. */
  private collectExperts(
    name: string,
    weights: TensorView,
    input: TensorView,
    address: Pointer,
    idsAddress: Pointer,
  ): void {
    const ids = this.functions.view(idsAddress);
    const [columns, perToken, tokens] = input.shape as [number, number, number];
    const experts = weights.shape[2]!;
    const [used] = ids.shape as [number];
    const into = this.into(name, columns, experts, experts);
    const values = this.activations.read(this.functions, input, address);
    const chosen = this.expertIds.read(this.functions, ids, idsAddress);
    for (let token = 0; token < tokens; token++) {
      for (let index = 0; index < used; index++) {
        const expert = chosen[elementAt(ids, token, 0, 0) + index]!;
        if (expert < 0 || expert >= experts) throw new Error(`${name}: no expert ${expert}`);
        addSquaresAt(
          ...([
            into.sums,
            expert * columns,
            values,
            elementAt(input, index % perToken, token, 0),
            columns,
          ] as const),
        );
        into.counts[expert]!++;
      }
    }
    this.summed = 0n;
    for (let index = 0; index < into.sums.length; index++)
      if (!Number.isFinite(into.sums[index]!))
        throw new JaugeError("importance-not-finite", { tensor: name });
  }

  /** Sums all rows of an input into `rowSums`. */
  private sumRows(input: TensorView, address: Pointer): void {
    const [columns, rows, planes, volumes] = input.shape as [number, number, number, number];
    const values = this.activations.read(this.functions, input, address);
    this.startRow(columns);
    for (let volume = 0; volume < volumes; volume++)
      for (let plane = 0; plane < planes; plane++)
        for (let row = 0; row < rows; row++)
          addSquares(this.rowSums, values, elementAt(input, row, plane, volume), columns);
  }

  private startRow(columns: number): void {
    if (this.rowSums.length < columns) this.rowSums = new Float64Array(columns);
    this.rowSums.fill(0, 0, columns);
  }

  private into(name: string, columns: number, matrices: number, counts: number): Collected {
    let found = this.collected.get(name);
    if (!found) {
      found = { columns, sums: new Float32Array(columns * matrices), counts: new Float64Array(counts) };
      this.collected.set(name, found);
    }
    if (found.sums.length !== columns * matrices)
      throw new JaugeError("importance-sizes-differ", {
        tensor: name,
        found: String(columns * matrices),
        expected: String(found.sums.length),
      });
    // A file with one count for a whole stack does not say how many matrices that is.
    found.columns = Math.min(found.columns, columns);
    if (found.counts.length < counts) found.counts = new Float64Array(counts).fill(found.counts[0]!);
    return found;
  }
}

/** Native memory that tensors of 4-byte elements are copied to, and that grows with them. */
class ReadBuffer<View extends Float32Array | Int32Array> {
  private array: NativeArray<View>;

  constructor(private readonly View: { new (buffer: ArrayBuffer): View; BYTES_PER_ELEMENT: number }) {
    this.array = new NativeArray(View, 1);
  }

  /** All bytes of a tensor, gaps between its rows included, copied from where it is; valid until the next read. */
  read(functions: TensorFunctions, tensor: TensorView, address: Pointer): View {
    if (tensor.strides[0] !== 4) throw new Error(`${tensor.name}: its elements are not 4 bytes apart`);
    const bytes = Number(functions.bytes(address));
    const words = Math.ceil(bytes / 4);
    if (this.array.view.length < words) {
      // The old array is native memory that stays: growing by doubling wastes at most as much as is used.
      this.array = new NativeArray(this.View, Math.max(words, 2 * this.array.view.length));
    }
    functions.read(address, this.array.address, 0, bytes);
    return this.array.view;
  }
}

/** A name without what ggml's scheduler puts around it for a copy: `CUDA0#blk.0.attn_k.weight#0`. */
function matrixName(name: string): string {
  return name.split("#")[1] ?? name;
}

/** Index of the first element of a row, in a tensor of 4-byte elements. */
function elementAt({ strides }: TensorView, row: number, plane: number, volume: number): number {
  return (row * strides[1]! + plane * strides[2]! + volume * strides[3]!) / 4;
}

function addSquares(into: Float64Array, values: Float32Array, start: number, count: number): void {
  for (let index = 0; index < count; index++) {
    const value = values[start + index]!;
    into[index]! += value * value;
  }
}

function addSquaresAt(
  into: Float32Array,
  offset: number,
  values: Float32Array,
  start: number,
  count: number,
): void {
  for (let index = 0; index < count; index++) {
    const value = values[start + index]!;
    into[offset + index]! += value * value;
  }
}

function addFinite(
  name: string,
  into: Float32Array,
  offset: number,
  from: Float64Array,
  count: number,
): void {
  for (let index = 0; index < count; index++) {
    into[offset + index]! += from[index]!;
    if (!Number.isFinite(into[offset + index]!))
      throw new JaugeError("importance-not-finite", { tensor: name });
  }
}
