import { JaugeError } from "../../errors.js";
import { type TensorTypeName, tensorTypes } from "../../gguf/tensor-types.js";
import { inBackground, NativeArray, type Pointer } from "../native/ffi.js";
import type { Ggml } from "../native/ggml.js";
import type { GraphFunctions } from "../native/graph.js";
import { isSoftware } from "./devices.js";

/**
 * From so many nodes on, ggml's Vulkan backend sleeps until all but a fifth of a graph is done (ggml_backend_vk_graph_compute,
 * v0.5.0). It spins for shorter ones, which takes a core from a software device.
 */
export const longGraphNodes = 10;

/** A processor with its backend open: makes tensors in its memory, fills them and computes graphs over them. */
export class Workbench {
  readonly isSoftware: boolean;
  private readonly patterns = new Map<TensorTypeName, Uint8Array>();
  private staging: NativeArray<Uint8Array> | undefined;

  constructor(
    readonly ggml: Ggml,
    readonly functions: GraphFunctions,
    readonly device: Pointer,
    readonly backend: Pointer,
  ) {
    this.isSoftware = isSoftware({ ggml }, device);
  }

  /** The memory that this processor computes in unless told otherwise. */
  get bufferType(): Pointer {
    return this.ggml.deviceBufferType(this.device);
  }

  /** An empty set of at most `count` tensors and graph nodes. */
  tensors(count: number): Tensors {
    return new Tensors(this, count);
  }

  async compute(graph: Pointer): Promise<void> {
    const status = await inBackground(this.functions.compute, this.backend, graph);
    if (status !== 0)
      throw new JaugeError("calibration-failed", { device: this.name, reason: `ggml status ${status}` });
  }

  get name(): string {
    return this.ggml.deviceName(this.device);
  }

  /**
   * Fills a tensor with random values as its type stores them, uniform within ±√(3/2048): a hidden state of 2048
   * keeps its size when it is multiplied by them. Zeros would not do: kernels may take shortcuts for them.
   */
  async fill(tensor: Pointer, type: TensorTypeName): Promise<void> {
    const pattern = await this.pattern(type);
    await this.write(tensor, (target) => repeat(pattern, target));
  }

  /** Gives a set of weights memory of a buffer type, and fills all of them. Errors: `out-of-memory`. */
  async fillWeights(weights: Tensors, type: TensorTypeName, bufferType: Pointer): Promise<void> {
    weights.allocate(bufferType);
    weights.areWeights();
    for (const tensor of weights.all) await this.fill(tensor, type);
  }

  /** Writes a tensor's bytes, in one piece: repacked buffers take nothing less. */
  async write(tensor: Pointer, prepare: (target: Uint8Array) => void): Promise<void> {
    const bytes = Number(this.functions.tensorBytes(tensor));
    const staging = this.stage(bytes);
    prepare(staging.view.subarray(0, bytes));
    await inBackground(this.functions.set, tensor, staging.address, 0, bytes);
  }

  /** The bytes of a tensor of this processor, as its type stores them. */
  async read(tensor: Pointer): Promise<Uint8Array> {
    const bytes = Number(this.functions.tensorBytes(tensor));
    const staging = this.stage(bytes);
    await inBackground(this.functions.get, tensor, staging.address, 0, bytes);
    return staging.view.slice(0, bytes);
  }

  private stage(bytes: number): NativeArray<Uint8Array> {
    if (!this.staging || this.staging.view.length < bytes) this.staging = new NativeArray(Uint8Array, bytes);
    return this.staging;
  }

  private async pattern(type: TensorTypeName): Promise<Uint8Array> {
    const known = this.patterns.get(type);
    if (known) return known;
    const { id, blockBytes, blockElements } = tensorTypes[type];
    const values = randomValues(patternElements);
    const bytes = new NativeArray(Uint8Array, (patternElements / blockElements) * blockBytes);
    // Some types cannot be quantised without an importance for each column.
    const importance = new Float32Array(patternRow).fill(1);
    const rows = patternElements / patternRow;
    await inBackground(
      ...([this.functions.quantize, id, values, bytes.address, 0, rows, patternRow, importance] as const),
    );
    this.patterns.set(type, bytes.view);
    return bytes.view;
  }
}

/** Tensors of one ggml context, and the buffers that hold them until the set is disposed of, or the process ends. */
export class Tensors implements Disposable {
  readonly context: Pointer;
  /** The tensors made so far, without the results of operations. */
  readonly all: Pointer[] = [];
  private buffer: Pointer | undefined;
  private readonly functions: GraphFunctions;

  constructor(
    private readonly workbench: Workbench,
    private readonly count: number,
  ) {
    this.functions = workbench.functions;
    const { tensorOverhead, graphOverhead, init } = this.functions;
    const size = Number(tensorOverhead()) * (count + 1) + Number(graphOverhead(count, false));
    this.context = init({ mem_size: size, mem_buffer: null, no_alloc: true });
  }

  /** A new tensor. `shape` starts with the row length. */
  make(type: TensorTypeName, shape: readonly number[]): Pointer {
    const { id } = tensorTypes[type];
    const [a = 1, b = 1, c = 1] = shape;
    const { tensor1, tensor2, tensor3 } = this.functions;
    const make = [tensor1, tensor2, tensor3][shape.length - 1] as typeof tensor3;
    const tensor = make(this.context, id, ...([a, b, c].slice(0, shape.length) as [number, number, number]));
    this.all.push(tensor);
    return tensor;
  }

  /** A graph that computes `results` and all they depend on. */
  graph(...results: Pointer[]): Pointer {
    const graph = this.functions.newGraph(this.context, this.count, false);
    for (const result of results) this.functions.expand(graph, result);
    return graph;
  }

  /** Gives memory to every tensor of the set, results included. Errors: `out-of-memory`. */
  allocate(bufferType: Pointer = this.workbench.bufferType): void {
    const buffer = this.functions.allocate(this.context, bufferType);
    if (buffer === null) {
      const neededBytes = Number(this.functions.bufferTypeBytes(this.context, bufferType));
      throw new JaugeError("out-of-memory", { device: this.workbench.name, neededBytes });
    }
    this.buffer = buffer;
  }

  /** Says that the set holds weights: some backends place or lay them out in another way then. */
  areWeights(): void {
    if (this.buffer) this.functions.setUsage(this.buffer, 1);
  }

  [Symbol.dispose](): void {
    // llvmpipe (Mesa 22.3) looks at the buffers of the last operation when it compiles the next one's shader, and corrupts
    // the heap where they are gone. A calibration's process ends soon.
    if (this.buffer && !this.workbench.isSoftware) this.functions.freeBuffer(this.buffer);
    this.functions.free(this.context);
  }
}

/** Elements of the pattern that fills tensors: whole blocks of every type. */
const patternRow = 256;
const patternElements = 128 * patternRow;

/** Uniform within ±√(3/2048), the same in every run. */
function randomValues(count: number): Float32Array {
  const random = randomNumbers(1);
  const scale = 2 * Math.sqrt(3 / 2048);
  return Float32Array.from({ length: count }, () => (random() - 0.5) * scale);
}

/** Numbers from 0 up to 1, the same for a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fills `target` with copies of `pattern`, each copy doubling what is there. */
function repeat(pattern: Uint8Array, target: Uint8Array): void {
  target.set(pattern.subarray(0, Math.min(pattern.length, target.length)));
  for (let done = pattern.length; done < target.length; done *= 2)
    target.copyWithin(done, 0, Math.min(done, target.length - done));
}
