import koffi, { type LibraryHandle, type TypeObject } from "koffi";

import { JaugeError } from "../../errors.js";

// koffi runs native code on stacks of its own, 128 KiB for background calls. Graph building over hundreds of layers,
// grammars that nest, and shader compilers (LLVM in Mesa's drivers) need what a thread normally has. Pages are only
// taken when touched. A process of many background threads keeps a stack for each of them.
const stackBytes = 16 * 2 ** 20;
const pools = Math.min(32, Math.max(2, Number(process.env.UV_THREADPOOL_SIZE ?? 2) || 2));
koffi.config({ sync_stack_size: stackBytes, async_stack_size: stackBytes, resident_async_pools: pools });

type TypeSpec = string | TypeObject;

/** A native address; where a function may return no object, it returns null. */
export type Pointer = bigint;

/** A native function: called directly where it is short, `.async` where it may take long. */
export type Native<Arguments extends unknown[], Result> = ((...args: Arguments) => Result) & {
  async: (...args: [...Arguments, (error: Error | null, result: Result) => void]) => void;
};

/** Opens a shared library, its symbols visible to the libraries opened after it. */
export function openLibrary(path: string): LibraryHandle {
  try {
    return koffi.load(path, { global: true });
  } catch (error) {
    throw new JaugeError("library-unloadable", { path, reason: (error as Error).message });
  }
}

/** Declares a function of a library. */
export function declare<Arguments extends unknown[], Result>(
  library: LibraryHandle,
  name: string,
  result: TypeSpec,
  ...parameters: TypeSpec[]
): Native<Arguments, Result> {
  return library.func(name, result, parameters) as unknown as Native<Arguments, Result>;
}

/** Runs a native function on a worker thread. */
export function inBackground<Arguments extends unknown[], Result>(
  call: Native<Arguments, Result>,
  ...args: Arguments
): Promise<Result> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** Native memory that lives until the process ends, seen as a typed array. Its address never changes. */
export class NativeArray<View extends Int32Array | Float32Array | Int8Array | BigUint64Array | Uint8Array> {
  readonly address: Pointer;
  readonly view: View;

  constructor(View: { new (buffer: ArrayBuffer): View; BYTES_PER_ELEMENT: number }, length: number) {
    const bytes = Math.max(1, length) * View.BYTES_PER_ELEMENT;
    this.address = koffi.alloc("uint8", bytes) as Pointer;
    this.view = new View(koffi.view(this.address, bytes));
    new Uint8Array(this.view.buffer).fill(0);
  }
}

/**
 * Lets this process's allocator keep what is freed: glibc may give memory back to the system at each free until a large
 * block was freed once (mallopt(3), M_MMAP_THRESHOLD). A software device allocates for each workgroup of some kernels, which
 * makes them half as fast.
 */
export function keepFreedMemory(): void {
  koffi.free(koffi.alloc("uint8", largestThreshold));
}

/** DEFAULT_MMAP_THRESHOLD_MAX is 32 MiB on 64-bit systems, the block's own header included. */
const largestThreshold = 31 * 2 ** 20;

/** Native memory at `address` as an ArrayBuffer; valid as long as the native side keeps it there. */
export function viewAt(address: Pointer, bytes: number): ArrayBuffer {
  return koffi.view(address, bytes);
}

/** 8-byte words in native memory that lives until the process ends. */
export function nativeWords(words: bigint[]): Pointer {
  const array = new NativeArray(BigUint64Array, words.length);
  array.view.set(words);
  return array.address;
}

/** A string that ends with a zero byte, in native memory that lives until the process ends. */
export function nativeString(text: string): Pointer {
  const bytes = Buffer.from(`${text}\0`, "utf8");
  const array = new NativeArray(Uint8Array, bytes.length);
  array.view.set(bytes);
  return array.address;
}
