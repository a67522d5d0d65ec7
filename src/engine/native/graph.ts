import koffi, { type LibraryHandle } from "koffi";
import { declare, openLibrary, type Pointer, viewAt } from "./ffi.js";
import { createThreadpool, type Ggml } from "./ggml.js";
import type { Libraries } from "./libraries.js";

/** Functions of ggml.h, ggml-alloc.h and ggml-backend.h at v0.5.0 that build and compute graphs. */
export type GraphFunctions = ReturnType<typeof graphFunctions>;

/** Opens ggml's base library once more, which costs nothing, for the functions that build graphs. */
export function openGraphFunctions(libraries: Libraries): GraphFunctions {
  return graphFunctions(openLibrary(libraries.ggmlBase));
}

const initParams = koffi.struct("ggml_init_params", {
  mem_size: "size_t",
  mem_buffer: "void *",
  no_alloc: "bool",
});

function graphFunctions(base: LibraryHandle) {
  const tensor = <A extends unknown[]>(name: string, ...parameters: string[]) =>
    declare<[context: Pointer, ...A], Pointer>(base, name, "void *", "void *", ...parameters);
  const pointers = <A extends unknown[], R>(name: string, result: string, count: number) =>
    declare<A, R>(base, name, result, ...Array<string>(count).fill("void *"));
  type InitParams = { mem_size: number; mem_buffer: null; no_alloc: boolean };
  type Transfer = [tensor: Pointer, data: Pointer, offset: number, bytes: number];
  const transfer = (name: string) =>
    declare<Transfer, void>(base, name, "void", "void *", "void *", "size_t", "size_t");
  return {
    init: declare<[params: InitParams], Pointer>(base, "ggml_init", "void *", initParams),
    free: pointers<[context: Pointer], void>("ggml_free", "void", 1),
    tensorOverhead: declare<[], number>(base, "ggml_tensor_overhead", "size_t"),
    graphOverhead: declare<[nodes: number, gradients: boolean], number>(
      ...([base, "ggml_graph_overhead_custom", "size_t", "size_t", "bool"] as const),
    ),
    tensorBytes: pointers<[tensor: Pointer], number>("ggml_nbytes", "size_t", 1),

    tensor1: tensor<[type: number, a: number]>("ggml_new_tensor_1d", "int32", "int64"),
    tensor2: tensor<[type: number, a: number, b: number]>("ggml_new_tensor_2d", "int32", "int64", "int64"),
    tensor3: tensor<[type: number, a: number, b: number, c: number]>(
      ...(["ggml_new_tensor_3d", "int32", "int64", "int64", "int64"] as const),
    ),
    multiply: tensor<[weights: Pointer, input: Pointer]>("ggml_mul_mat", "void *", "void *"),
    multiplyExperts: tensor<[weights: Pointer, input: Pointer, ids: Pointer]>(
      ...(["ggml_mul_mat_id", "void *", "void *", "void *"] as const),
    ),
    add: tensor<[a: Pointer, b: Pointer]>("ggml_add", "void *", "void *"),
    multiplyElements: tensor<[a: Pointer, b: Pointer]>("ggml_mul", "void *", "void *"),
    scale: tensor<[a: Pointer, factor: number]>("ggml_scale", "void *", "float"),
    rmsNorm: tensor<[a: Pointer, epsilon: number]>("ggml_rms_norm", "void *", "float"),
    rope: tensor<
      [
        a: Pointer,
        positions: Pointer,
        factors: null,
        dimensions: number,
        mode: number,
        trained: number,
        base: number,
        scale: number,
        extrapolation: number,
        magnitude: number,
        fast: number,
        slow: number,
      ]
    >(
      "ggml_rope_ext",
      ...Array<string>(3).fill("void *"),
      ...Array<string>(3).fill("int32"),
      ...Array<string>(6).fill("float"),
    ),
    permute: tensor<[a: Pointer, x: number, y: number, z: number, w: number]>(
      ...(["ggml_permute", "void *", "int32", "int32", "int32", "int32"] as const),
    ),
    attention: tensor<
      [
        query: Pointer,
        keys: Pointer,
        values: Pointer,
        mask: Pointer,
        scale: number,
        bias: number,
        cap: number,
      ]
    >(
      ...([
        "ggml_flash_attn_ext",
        "void *",
        "void *",
        "void *",
        "void *",
        "float",
        "float",
        "float",
      ] as const),
    ),
    newGraph: declare<[context: Pointer, nodes: number, gradients: boolean], Pointer>(
      ...([base, "ggml_new_graph_custom", "void *", "void *", "size_t", "bool"] as const),
    ),
    expand: pointers<[graph: Pointer, tensor: Pointer], void>("ggml_build_forward_expand", "void", 2),
    graphNodes: pointers<[graph: Pointer], number>("ggml_graph_n_nodes", "int", 1),

    initBackend: pointers<[device: Pointer, params: null], Pointer | null>(
      ...(["ggml_backend_dev_init", "void *", 2] as const),
    ),
    freeBackend: pointers<[backend: Pointer], void>("ggml_backend_free", "void", 1),
    hostBufferType: pointers<[device: Pointer], Pointer | null>(
      ...(["ggml_backend_dev_host_buffer_type", "void *", 1] as const),
    ),
    supports: declare<[device: Pointer, operation: Pointer], boolean>(
      ...([base, "ggml_backend_dev_supports_op", "bool", "void *", "void *"] as const),
    ),
    bufferTypeBytes: pointers<[context: Pointer, bufferType: Pointer], number>(
      ...(["ggml_backend_alloc_ctx_tensors_from_buft_size", "size_t", 2] as const),
    ),
    allocate: pointers<[context: Pointer, bufferType: Pointer], Pointer | null>(
      ...(["ggml_backend_alloc_ctx_tensors_from_buft", "void *", 2] as const),
    ),
    allocateBuffer: declare<[bufferType: Pointer, bytes: number], Pointer | null>(
      ...([base, "ggml_backend_buft_alloc_buffer", "void *", "void *", "size_t"] as const),
    ),
    bufferBase: pointers<[buffer: Pointer], Pointer>("ggml_backend_buffer_get_base", "void *", 1),
    bufferBytes: pointers<[buffer: Pointer], number>("ggml_backend_buffer_get_size", "size_t", 1),
    setUsage: declare<[buffer: Pointer, usage: number], void>(
      ...([base, "ggml_backend_buffer_set_usage", "void", "void *", "int32"] as const),
    ),
    freeBuffer: pointers<[buffer: Pointer], void>("ggml_backend_buffer_free", "void", 1),
    set: transfer("ggml_backend_tensor_set"),
    get: transfer("ggml_backend_tensor_get"),
    compute: pointers<[backend: Pointer, graph: Pointer], number>("ggml_backend_graph_compute", "int32", 2),
    synchronize: pointers<[backend: Pointer], void>("ggml_backend_synchronize", "void", 1),
    quantize: declare<
      [
        type: number,
        values: Float32Array,
        target: Pointer,
        start: number,
        rows: number,
        perRow: number,
        importance: Float32Array,
      ],
      number
    >(
      ...([
        base,
        "ggml_quantize_chunk",
        "size_t",
        "int32",
        "void *",
        "void *",
        "int64",
        "int64",
        "int64",
        "void *",
      ] as const),
    ),
  };
}

/** Opens a backend on a device; the CPU's with threads that live as long as it. Null where the device refuses. */
export function openBackend(
  functions: GraphFunctions,
  ggml: Ggml,
  device: Pointer,
  threads: number,
): Pointer | null {
  const backend = functions.initBackend(device, null);
  if (backend === null) return null;
  const registry = ggml.deviceRegistry(device);
  const setThreads = ggml.procedure(registry, "ggml_backend_set_n_threads");
  if (setThreads) koffi.call(setThreads, koffi.proto("void", ["void *", "int32"]), backend, threads);
  const setPool = ggml.procedure(registry, "ggml_backend_cpu_set_threadpool");
  const pool = setPool && createThreadpool(ggml, threads);
  if (pool) koffi.call(setPool, koffi.proto("void", ["void *", "void *"]), backend, pool);
  return backend;
}

/** Buffer types that lay weights out for the CPU's own kernels, in the order in which llama.cpp tries them. */
export function extraBufferTypes(ggml: Ggml, device: Pointer): Pointer[] {
  const list = ggml.procedure(ggml.deviceRegistry(device), "ggml_backend_dev_get_extra_bufts");
  if (!list) return [];
  const start = koffi.call(list, koffi.proto("void *", ["void *"]), device) as Pointer | null;
  const found: Pointer[] = [];
  for (let at = start; at; at += 8n) {
    const [type] = new BigUint64Array(viewAt(at, 8));
    if (!type) break;
    found.push(type);
  }
  return found;
}

/**
 * Whether a device computes an operation with `weights` in a buffer of this type. The device looks at the weights'
 * buffer, so they get an empty one for the question, as llama.cpp's loader does it (llama-model-loader.cpp,
 * weight_buft_supported): the second field of `struct ggml_tensor`, at byte 8.
 */
export function supportsIn(
  functions: GraphFunctions,
  device: Pointer,
  operation: Pointer,
  weights: Pointer,
  bufferType: Pointer,
): boolean {
  const empty = functions.allocateBuffer(bufferType, 0);
  if (empty === null) return false;
  const field = new BigUint64Array(viewAt(weights + 8n, 8));
  field[0] = empty;
  const supported = functions.supports(device, operation);
  field[0] = 0n;
  functions.freeBuffer(empty);
  return supported;
}
