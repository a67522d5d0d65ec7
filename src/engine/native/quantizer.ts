import koffi, { type LibraryHandle } from "koffi";
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

export interface TypeTraits {
  type_name: string;
  blck_size: number;
  type_size: number;
  is_quantized: boolean;
  /** `void to_float(const void *x, float *y, int64_t k)`; null where a type cannot be read back. */
  to_float: Pointer | null;
}

/** Turns `count` elements at the first address into floats at the second. */
export type ToFloat = Native<[from: Pointer, to: Pointer, count: number], void>;

/** What ggml-base has for turning types into each other, by the numbers of `enum ggml_type`. */
export type Quantizer = ReturnType<typeof openQuantizer>;

/** Loads ggml-base alone: quantising needs no backend. Errors: `library-unloadable`. */
export function openQuantizer(libraries: Libraries) {
  return quantizerFunctions(openLibrary(libraries.ggmlBase));
}

function quantizerFunctions(base: LibraryHandle) {
  const toFloat = (name: string): ToFloat =>
    declare<[Pointer, Pointer, number], void>(base, name, "void", "void *", "void *", "int64");
  const traits = base.func("ggml_get_type_traits", koffi.pointer(typeTraits), ["int32"]) as (
    type: number,
  ) => Pointer;
  const prototype = koffi.proto("void jauge_to_float(const void *x, void *y, int64_t k)");
  return {
    fp16ToFloat: toFloat("ggml_fp16_to_fp32_row"),
    bf16ToFloat: toFloat("ggml_bf16_to_fp32_row"),
    /** The function that turns blocks of a quantised type into floats; undefined where there is none. */
    blocksToFloat(type: number): ToFloat | undefined {
      const { to_float: address } = koffi.decode(traits(type), typeTraits) as TypeTraits;
      return address === null ? undefined : (koffi.decode(address, prototype) as unknown as ToFloat);
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
