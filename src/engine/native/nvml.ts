import { posix, win32 } from "node:path";
import koffi, { type LibraryHandle } from "koffi";
import type { PowerReading } from "../../hardware/power.js";
import { declare, type Pointer } from "./ffi.js";

/** A card as NVIDIA's driver sees it, read at one moment. */
export interface NvmlCard {
  /** `0000:c1:00.0`, as ggml writes it. */
  busId: string;
  name: string;
  totalBytes: number;
  /** Taken by anyone, the driver's own reserve included. */
  usedBytes: number;
  freeBytes: number;
  power: PowerReading;
  /** `bytes` is absent where the driver does not tell (Windows). */
  processes: { pid: number; name: string; bytes?: number }[];
}

/**
 * NVIDIA's management library (NVML), which comes with the driver: a function that reads all cards afresh.
 * Undefined where there is no such library, or no driver for it to talk to. Reading takes no device memory.
 * Functions and structs: nvml.h of CUDA 12, "NVML API Reference Guide".
 */
export function openNvml(candidates: readonly string[] = libraryNames()): (() => NvmlCard[]) | undefined {
  for (const candidate of candidates) {
    try {
      const nvml = nvmlFunctions(koffi.load(candidate));
      if (nvml.init() === success) return () => readCards(nvml);
    } catch {
      // The next one: this is none, or not for this system.
    }
  }
  return undefined;
}

/** Where drivers put the library; a bare name is searched for as the system does. */
function libraryNames(): string[] {
  if (process.platform === "win32") {
    const programs = process.env.ProgramW6432 ?? "C:\\Program Files";
    return ["nvml.dll", win32.join(programs, "NVIDIA Corporation", "NVSMI", "nvml.dll")];
  }
  if (process.platform === "darwin") return [];
  return ["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"];
}

type Nvml = ReturnType<typeof nvmlFunctions>;
type ReadProcesses = (card: Pointer, count: Uint32Array, infos: Uint8Array | null) => number;

const success = 0;
const insufficientSize = 7;

function nvmlFunctions(library: LibraryHandle) {
  const processes = (name: string) =>
    optional(() =>
      declare<Parameters<ReadProcesses>, number>(library, name, "int32", "void *", "void *", "void *"),
    );
  const milli32 = (name: string) =>
    optional(() =>
      declare<[card: Pointer, value: Uint32Array], number>(library, name, "int32", "void *", "void *"),
    );
  return {
    init: declare<[], number>(library, "nvmlInit_v2", "int32"),
    count: declare<[count: Uint32Array], number>(library, "nvmlDeviceGetCount_v2", "int32", "void *"),
    card: declare<[index: number, card: BigUint64Array], number>(
      ...([library, "nvmlDeviceGetHandleByIndex_v2", "int32", "uint32", "void *"] as const),
    ),
    name: declare<[card: Pointer, text: Uint8Array, size: number], number>(
      ...([library, "nvmlDeviceGetName", "int32", "void *", "void *", "uint32"] as const),
    ),
    pci: declare<[card: Pointer, info: Uint8Array], number>(
      ...([library, "nvmlDeviceGetPciInfo_v3", "int32", "void *", "void *"] as const),
    ),
    // Version 2 came with driver 510, version 3 of the processes with 515; what they replace has the same structs.
    memory: optional(() =>
      declare<[card: Pointer, memory: BigUint64Array], number>(
        ...([library, "nvmlDeviceGetMemoryInfo_v2", "int32", "void *", "void *"] as const),
      ),
    ),
    memoryBefore510: declare<[card: Pointer, memory: BigUint64Array], number>(
      ...([library, "nvmlDeviceGetMemoryInfo", "int32", "void *", "void *"] as const),
    ),
    // Milliwatts, and millijoules since the driver was loaded (Volta and newer).
    watts: milli32("nvmlDeviceGetPowerUsage"),
    limit: milli32("nvmlDeviceGetEnforcedPowerLimit"),
    joules: optional(() =>
      declare<[card: Pointer, value: BigUint64Array], number>(
        ...([library, "nvmlDeviceGetTotalEnergyConsumption", "int32", "void *", "void *"] as const),
      ),
    ),
    processes: [
      processes("nvmlDeviceGetComputeRunningProcesses_v3") ??
        processes("nvmlDeviceGetComputeRunningProcesses_v2"),
      processes("nvmlDeviceGetGraphicsRunningProcesses_v3") ??
        processes("nvmlDeviceGetGraphicsRunningProcesses_v2"),
    ],
    processName: declare<[pid: number, text: Uint8Array, size: number], number>(
      ...([library, "nvmlSystemGetProcessName", "int32", "uint32", "void *", "uint32"] as const),
    ),
  };
}

function readCards(nvml: Nvml): NvmlCard[] {
  const count = new Uint32Array(1);
  if (nvml.count(count) !== success) return [];
  return Array.from({ length: count[0]! }, (_, index) => readCard(nvml, index)).filter(
    (card) => card !== undefined,
  );
}

/** Undefined for a card that this user may not see, or that has fallen off its bus. */
function readCard(nvml: Nvml, index: number): NvmlCard | undefined {
  const handle = new BigUint64Array(1);
  if (nvml.card(index, handle) !== success) return undefined;
  const card = handle[0]!;
  const busId = readBusId(nvml, card);
  const memory = readMemory(nvml, card);
  if (busId === undefined || memory === undefined) return undefined;
  const name = new Uint8Array(96);
  nvml.name(card, name, name.length);
  const power = readPower(nvml, card);
  return { busId, name: textOf(name), ...memory, power, processes: readProcesses(nvml, card) };
}

/** What the card tells: small ones have no sensor, and older ones count no energy. */
function readPower({ watts, limit, joules }: Nvml, card: Pointer): PowerReading {
  const drawn = new Uint32Array(1);
  const most = new Uint32Array(1);
  const taken = new BigUint64Array(1);
  return {
    ...(joules?.(card, taken) === success && { joules: Number(taken[0]) / 1000 }),
    ...(watts?.(card, drawn) === success && { watts: drawn[0]! / 1000 }),
    ...(limit?.(card, most) === success && { limitWatts: most[0]! / 1000 }),
  };
}

/** `nvmlPciInfo_t`: char busIdLegacy[16], uint32 domain, bus, device, pciDeviceId, pciSubSystemId, char busId[32]. */
function readBusId(nvml: Nvml, card: Pointer): string | undefined {
  const info = new Uint8Array(16 + 5 * 4 + 32);
  if (nvml.pci(card, info) !== success) return undefined;
  const [domain, bus, device] = new Uint32Array(info.buffer, 16, 3);
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  return `${hex(domain!, 4)}:${hex(bus!, 2)}:${hex(device!, 2)}.0`;
}

function readMemory(
  nvml: Nvml,
  card: Pointer,
): Pick<NvmlCard, "totalBytes" | "usedBytes" | "freeBytes"> | undefined {
  const figures = (total: bigint, free: bigint) => ({
    totalBytes: Number(total),
    usedBytes: Number(total - free),
    freeBytes: Number(free),
  });
  // `nvmlMemory_v2_t`: uint32 version (padded), uint64 total, reserved, free, used. The version holds the size as well.
  const second = new BigUint64Array(5);
  second[0] = BigInt(second.byteLength | (2 << 24));
  if (nvml.memory?.(card, second) === success) return figures(second[1]!, second[3]!);
  // `nvmlMemory_t`: uint64 total, free, used.
  const first = new BigUint64Array(3);
  return nvml.memoryBefore510(card, first) === success ? figures(first[0]!, first[1]!) : undefined;
}

/** `nvmlProcessInfo_t`: uint32 pid (padded), uint64 usedGpuMemory, uint32 gpuInstanceId, computeInstanceId. */
const processInfoBytes = 24;
/** NVML_VALUE_NOT_AVAILABLE. */
const notAvailable = 2n ** 64n - 1n;

/** Processes that compute or draw; one that does both is listed twice, with the same bytes. */
function readProcesses(nvml: Nvml, card: Pointer): NvmlCard["processes"] {
  const bytesOf = new Map<number, number | undefined>();
  for (const read of nvml.processes) {
    const infos = read && listProcesses(read, card);
    for (let at = 0; infos && at < infos.byteLength; at += processInfoBytes) {
      const used = infos.getBigUint64(at + 8, true);
      const pid = infos.getUint32(at, true);
      bytesOf.set(
        pid,
        used === notAvailable ? bytesOf.get(pid) : Math.max(bytesOf.get(pid) ?? 0, Number(used)),
      );
    }
  }
  return [...bytesOf]
    .map(([pid, bytes]) => ({ pid, name: processName(nvml, pid), ...(bytes === undefined ? {} : { bytes }) }))
    .toSorted((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0));
}

function listProcesses(read: ReadProcesses, card: Pointer): DataView | undefined {
  // Processes come and go between the calls: room for some more, and another try where it was not enough.
  for (let room = 32; room <= 32_768; room *= 4) {
    const count = new Uint32Array([room]);
    const infos = new Uint8Array(room * processInfoBytes);
    const status = read(card, count, infos);
    if (status === success)
      return new DataView(infos.buffer, 0, Math.min(count[0]!, room) * processInfoBytes);
    if (status !== insufficientSize) return undefined;
  }
  return undefined;
}

function processName(nvml: Nvml, pid: number): string {
  const text = new Uint8Array(1024);
  if (nvml.processName(pid, text, text.length) !== success) return "";
  const path = textOf(text);
  return (process.platform === "win32" ? win32 : posix).basename(path);
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString("utf8");
}

/** A function that older drivers lack. */
function optional<T>(declaration: () => T): T | undefined {
  try {
    return declaration();
  } catch {
    return undefined;
  }
}
