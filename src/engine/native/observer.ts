import koffi from "koffi";
import { JaugeError } from "../../errors.js";
import { openLibrary, type Pointer } from "./ffi.js";
import type { Libraries } from "./libraries.js";

const evalCallback = koffi.proto("bool jauge_eval(void *tensor, bool ask, void *data)");

/**
 * What ggml's scheduler asks while it computes a graph: with `ask`, whether anyone wants to see this node; without, the
 * node is computed and can be looked at. Returning false then ends the computation.
 */
export type Observer = (tensor: Pointer, ask: boolean) => boolean;

/**
 * A `ggml_backend_sched_eval_callback` that calls `observer` on this thread, for the life of the process: for native
 * calls made in the background only.
 */
export function evalCallbackOf(observer: Observer): Pointer {
  const call = (tensor: Pointer, ask: boolean) => observer(tensor, ask);
  return koffi.register(call, koffi.pointer(evalCallback)) as Pointer;
}

/** The fields of `struct ggml_tensor` (ggml.h at v0.5.0) up to its name, without the sources beyond the third. */
const tensorStructure = koffi.struct("jauge_tensor_view", {
  type: "int32",
  buffer: "void *",
  ne: koffi.array("int64", 4, "Array"),
  nb: koffi.array("size_t", 4, "Array"),
  op: "int32",
  op_params: koffi.array("int32", 16, "Typed"),
  flags: "int32",
  src: koffi.array("void *", 10, "Array"),
  view_src: "void *",
  view_offs: "size_t",
  data: "void *",
  name: koffi.array("char", 64, "String"),
});

/** One tensor of a graph. */
export interface TensorView {
  type: number;
  /** Elements of each dimension, row length first. */
  shape: number[];
  /** Bytes from one element, row, matrix, … to the next. */
  strides: number[];
  sources: (Pointer | null)[];
  name: string;
}

/** Numbers of `enum ggml_op` at v0.5.0. */
export const operations = { MUL_MAT: 29, MUL_MAT_ID: 30 } as const;

/** What an observer looks at tensors with. */
export type TensorFunctions = ReturnType<typeof openTensorFunctions>;

/** Opens ggml's base library once more, which costs nothing. Errors: `library-layout`. */
export function openTensorFunctions(libraries: Libraries) {
  const base = openLibrary(libraries.ggmlBase);
  const operationName = base.func("ggml_op_name", "str", ["int32"]) as (operation: number) => string;
  for (const [name, number] of Object.entries(operations)) {
    const found = operationName(number);
    if (found !== name) throw new JaugeError("library-layout", { structure: "ggml_op", field: name, found });
  }
  return {
    /** The operation of a tensor: the field behind type, buffer, shape and strides. */
    operationOf: (tensor: Pointer): number => koffi.decode(tensor + 80n, "int32") as number,
    view(tensor: Pointer): TensorView {
      const { type, ne, nb, src, name } = koffi.decode(tensor, tensorStructure) as {
        type: number;
        ne: (number | bigint)[];
        nb: (number | bigint)[];
        src: (Pointer | null)[];
        name: string;
      };
      return { type, shape: ne.map(Number), strides: nb.map(Number), sources: src, name };
    },
    /** `ggml_nbytes`: what `read` may ask for. */
    bytes: base.func("ggml_nbytes", "size_t", ["void *"]) as (tensor: Pointer) => number,
    /** Copies a tensor's bytes to native memory, from wherever it is. */
    read: base.func("ggml_backend_tensor_get", "void", ["void *", "void *", "size_t", "size_t"]) as (
      ...args: [tensor: Pointer, target: Pointer, offset: number, bytes: number]
    ) => void,
  };
}
