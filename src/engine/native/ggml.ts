import koffi, { type LibraryHandle } from "koffi";
import { declare, type Native, type Pointer } from "./ffi.js";
import { threadpoolParams } from "./structures.js";

/** `struct ggml_backend_dev_props` with its `struct ggml_backend_dev_caps` at its end. */
const deviceProperties = koffi.struct("ggml_backend_dev_props", {
  name: "str",
  description: "str",
  memory_free: "size_t",
  memory_total: "size_t",
  type: "int32",
  device_id: "str",
  async: "bool",
  host_buffer: "bool",
  buffer_from_host_ptr: "bool",
  events: "bool",
  mmap_support: "bool",
});

export interface DeviceProperties {
  /** A PCI address in lower case where the device has one: `0000:c1:00.0`. */
  device_id: string | null;
}

/** Functions of ggml.h, ggml-backend.h and ggml-cpu.h at v0.5.0. */
export type Ggml = ReturnType<typeof ggmlFunctions>;

export const deviceKinds = ["cpu", "gpu", "integrated-gpu", "accelerator", "meta"] as const;

/** Element types by their number in `enum ggml_type`, those that a KV cache can have. */
export const ggmlTypes = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  iq4_nl: 20,
  bf16: 30,
} as const;

export function ggmlFunctions(ggml: LibraryHandle, base: LibraryHandle) {
  return {
    loadBackends: declare<[path: string], void>(ggml, "ggml_backend_load_all_from_path", "void", "str"),
    deviceCount: declare<[], number>(ggml, "ggml_backend_dev_count", "size_t"),
    device: declare<[index: number], Pointer>(ggml, "ggml_backend_dev_get", "void *", "size_t"),
    deviceByType: declare<[type: number], Pointer | null>(
      ggml,
      "ggml_backend_dev_by_type",
      "void *",
      "int32",
    ),
    deviceName: declare<[device: Pointer], string>(base, "ggml_backend_dev_name", "str", "void *"),
    deviceDescription: declare<[device: Pointer], string>(
      base,
      "ggml_backend_dev_description",
      "str",
      "void *",
    ),
    deviceType: declare<[device: Pointer], number>(base, "ggml_backend_dev_type", "int32", "void *"),
    deviceMemory: declare<[device: Pointer, free: BigUint64Array, total: BigUint64Array], void>(
      ...([base, "ggml_backend_dev_memory", "void", "void *", "void *", "void *"] as const),
    ),
    deviceProperties: base.func("ggml_backend_dev_get_props", "void", [
      "void *",
      koffi.out(koffi.pointer(deviceProperties)),
    ]) as unknown as (device: Pointer, properties: Partial<DeviceProperties>) => void,
    deviceRegistry: declare<[device: Pointer], Pointer>(
      base,
      "ggml_backend_dev_backend_reg",
      "void *",
      "void *",
    ),
    deviceBufferType: declare<[device: Pointer], Pointer>(
      base,
      "ggml_backend_dev_buffer_type",
      "void *",
      "void *",
    ),
    procedure: declare<[registry: Pointer, name: string], Pointer | null>(
      ...([base, "ggml_backend_reg_get_proc_address", "void *", "void *", "str"] as const),
    ),
    bufferTypeName: declare<[type: Pointer], string>(base, "ggml_backend_buft_name", "str", "void *"),
    bufferTypeDevice: declare<[type: Pointer], Pointer | null>(
      base,
      "ggml_backend_buft_get_device",
      "void *",
      "void *",
    ),
    bufferTypeMaxSize: declare<[type: Pointer], number | bigint>(
      base,
      "ggml_backend_buft_get_max_size",
      "size_t",
      "void *",
    ),
    bufferTypeAlignment: declare<[type: Pointer], number | bigint>(
      ...([base, "ggml_backend_buft_get_alignment", "size_t", "void *"] as const),
    ),
    bufferTypeIsHost: declare<[type: Pointer], boolean>(base, "ggml_backend_buft_is_host", "bool", "void *"),
    defaultThreadpoolParams: base.func("ggml_threadpool_params_default", threadpoolParams, ["int32"]) as (
      threads: number,
    ) => Record<string, unknown>,
  };
}

/**
 * A pool of compute threads that lives as long as its context: without one, ggml starts and ends threads for
 * every graph. They wait for work by spinning, or asleep where others need the cores (`spins` false). Only the CPU
 * backend has pools; undefined where it exports none.
 */
export function createThreadpool(ggml: Ggml, threads: number, { spins = true } = {}): Pointer | undefined {
  const cpu = ggml.deviceByType(0);
  const create = cpu && ggml.procedure(ggml.deviceRegistry(cpu), "ggml_threadpool_new");
  if (!create) return undefined;
  const params = { ...ggml.defaultThreadpoolParams(threads), ...(!spins && { poll: 0 }) };
  const prototype = koffi.proto("void *", [koffi.pointer(threadpoolParams)]);
  return (koffi.call(create, prototype, params) as Pointer | null) ?? undefined;
}

export type { Native };
