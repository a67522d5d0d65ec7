import koffi, { type LibraryHandle } from "koffi";
import { openCpuLibrary } from "./cpu-library.js";
import { declare, type Native, openLibrary, type Pointer, viewAt } from "./ffi.js";
import type { Libraries } from "./libraries.js";

/** `struct ggml_type_traits` of ggml/include/ggml.h at v0.5.0. */
const typeTraits = koffi.struct("ggml_type_traits", {
  type_name: "str",
  blck_size: "int64",
  blck_size_interleave: "int64",
  type_size: "size_t",
  is_quantized: "bool",
  to_float: "void *",
  from_float_ref: "void *",
});

/** `struct ggml_type_traits_cpu` of ggml/include/ggml-cpu.h at v0.5.0. */
const cpuTraits = koffi.struct("ggml_type_traits_cpu", {
  from_float: "void *",
  vec_dot: "void *",
  vec_dot_type: "int32",
  nrows: "int64",
});

const vectorDot = koffi.proto("void", [
  ...(["int32", "void *", "size_t", "void *", "size_t"] as const),
  ...(["void *", "size_t", "int32"] as const),
]);
const toFloat = koffi.proto("void", ["void *", "void *", "int64"]);

export interface TypeTraits {
  type_name: string;
  blck_size: number;
  type_size: number;
  is_quantized: boolean;
  /** `void to_float(const void *x, float *y, int64_t k)`; null where a type cannot be read back. */
  to_float: Pointer | null;
}

/** Turns `count` elements at the first address into others at the second. */
export type RowConversion = Native<[from: Pointer, to: Pointer, count: number], void>;

/** Writes the sum of the products of `count` elements each at `x` and `y` to `sum`, a float. */
export type DotProduct = Native<
  [
    count: number,
    sum: Pointer,
    sumStride: number,
    x: Pointer,
    xStride: number,
    y: Pointer,
    yStride: number,
    rows: 1,
  ],
  void
>;

/** What ggml-base has for turning types into each other, by the numbers of `enum ggml_type`. */
export type Quantizer = ReturnType<typeof openQuantizer>;

/** Loads ggml-base: quantising needs no backend. Errors: `library-unloadable`. */
export function openQuantizer(libraries: Libraries) {
  return quantizerFunctions(openLibrary(libraries.ggmlBase), libraries.directory);
}

function quantizerFunctions(base: LibraryHandle, directory: string) {
  const conversion = (library: LibraryHandle, name: string): RowConversion =>
    declare<[Pointer, Pointer, number], void>(library, name, "void", "void *", "void *", "int64");
  let found: { library: LibraryHandle | undefined } | undefined;
  const cpuLibrary = () => {
    found ??= { library: openCpuLibrary(directory) };
    return found.library;
  };
  let toHalves: RowConversion | undefined;
  const traits = base.func("ggml_get_type_traits", koffi.pointer(typeTraits), ["int32"]) as (
    type: number,
  ) => Pointer;
  return {
    fp16ToFloat: conversion(base, "ggml_fp16_to_fp32_row"),
    bf16ToFloat: conversion(base, "ggml_bf16_to_fp32_row"),
    /**
     * Rounds to the nearest F16, ties to even. ggml-base takes 2.3 ns an element, ggml-cpu 0.2 where the processor has
     * an instruction for it. The numbers are the same, infinities among them; a NaN stays one, of other bits.
     */
    floatToFp16(): RowConversion {
      if (!toHalves) {
        const cpu = cpuLibrary();
        toHalves = cpu ? conversion(cpu, "ggml_cpu_fp32_to_fp16") : conversion(base, "ggml_fp32_to_fp16_row");
      }
      return toHalves;
    },
    /** ggml-cpu's product of two rows of this type; undefined where there is none of both in the same type. */
    dotProduct(type: number): DotProduct | undefined {
      const cpu = cpuLibrary();
      if (!cpu) return undefined;
      // the tables that stand in for instructions which a processor lacks
      (cpu.func("ggml_cpu_init", "void", []) as () => void)();
      const traitsOf = cpu.func("ggml_get_type_traits_cpu", koffi.pointer(cpuTraits), ["int32"]) as (
        type: number,
      ) => Pointer;
      const { vec_dot: address, vec_dot_type: other } = koffi.decode(traitsOf(type), cpuTraits) as {
        vec_dot: Pointer | null;
        vec_dot_type: number;
      };
      return address === null || other !== type
        ? undefined
        : (koffi.decode(address, vectorDot) as unknown as DotProduct);
    },
    /** The function that turns blocks of a quantised type into floats; undefined where there is none. */
    blocksToFloat(type: number): RowConversion | undefined {
      const { to_float: address } = koffi.decode(traits(type), typeTraits) as TypeTraits;
      return address === null ? undefined : (koffi.decode(address, toFloat) as unknown as RowConversion);
    },
    prepare: declare<[type: number], void>(base, "ggml_quantize_init", "void", "int32"),
    /** Bytes written. */
    quantizeChunk: declare<
      [
        type: number,
        from: Pointer,
        to: Pointer,
        firstElement: number,
        rows: number,
        rowElements: number,
        importance: Pointer | null,
      ],
      number
    >(
      ...([base, "ggml_quantize_chunk", "size_t", "int32", "void *", "void *"] as const),
      ...(["int64", "int64", "int64", "void *"] as const),
    ),
    validateRows: declare<[type: number, data: Pointer, bytes: number], boolean>(
      ...([base, "ggml_validate_row_data", "bool", "int32", "void *", "size_t"] as const),
    ),
  };
}

/** Native memory for one lane, aligned as vector instructions like it; lives until the process ends. */
export class NativeRoom {
  readonly address: Pointer;
  readonly bytes: Uint8Array;

  constructor(size: number) {
    const base = koffi.alloc("uint8", Math.max(1, size) + 64) as Pointer;
    this.address = (base + 63n) & ~63n;
    this.bytes = new Uint8Array(viewAt(this.address, Math.max(1, size)));
  }

  get floats(): Float32Array {
    return new Float32Array(this.bytes.buffer, 0, Math.floor(this.bytes.byteLength / 4));
  }
}
