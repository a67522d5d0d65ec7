import { JaugeError } from "../../errors.js";
import { deviceReading } from "../../hardware/device-reading.js";
import { drmUsers } from "../../hardware/drm.js";
import { cardPower, cpuPower, type PowerReading } from "../../hardware/power.js";
import { isSoftwareDevice } from "../../hardware/software-device.js";
import type { Plan } from "../../plan/plan.js";
import type { Pointer } from "../native/ffi.js";
import { type DeviceProperties, deviceKinds } from "../native/ggml.js";
import { memoryBreakdown } from "../native/memory-breakdown.js";
import { type NvmlCard, openNvml } from "../native/nvml.js";
import type { Native } from "../native/open.js";
import type { Device, MemoryUse } from "../protocol.js";

/** Every device that the loaded libraries offer, with what each has left at this moment. */
export function listDevices(native: Native): Device[] {
  const { ggml } = native;
  const pointers = allDevices(native);
  // All memory first: opening one device (Vulkan opens it for its buffer type) takes some of it.
  const memory = pointers.map((device) => {
    const free = new BigUint64Array(1);
    const total = new BigUint64Array(1);
    ggml.deviceMemory(device, free, total);
    return { freeBytes: Number(free[0]), totalBytes: Number(total[0]) };
  });
  const cards = pointers.length > 1 ? nvidiaCards() : [];
  return pointers.map((device, index) => {
    const bufferType = ggml.deviceBufferType(device);
    const facts = {
      name: ggml.deviceName(device),
      description: ggml.deviceDescription(device),
      kind: deviceKinds[ggml.deviceType(device)] ?? ("accelerator" as const),
      ...memory[index]!,
    };
    const unified = isUnified(facts);
    return {
      ...facts,
      ...driverFacts(busIdOf(native, device), unified, cards),
      unified,
      alignmentBytes: Number(ggml.bufferTypeAlignment(bufferType)),
      // The greatest size_t says that there is no limit; JavaScript's numbers are exact up to 2^53.
      maxBufferBytes: Math.min(Number(ggml.bufferTypeMaxSize(bufferType)), Number.MAX_SAFE_INTEGER),
    };
  });
}

let readNvidia: (() => NvmlCard[]) | undefined | "unopened" = "unopened";

function nvidiaCards(): NvmlCard[] {
  if (readNvidia === "unopened") readNvidia = openNvml();
  return readNvidia?.() ?? [];
}

/** A device's PCI address; undefined where it has none, or ggml does not tell. */
function busIdOf({ ggml }: Native, device: Pointer): string | undefined {
  const properties: Partial<DeviceProperties> = {};
  ggml.deviceProperties(device, properties);
  // CUDA shows one card as several devices where it is asked to: `0000:c1:00.0-v1`.
  return properties.device_id?.toLowerCase().replace(/-v\d+$/, "") || undefined;
}

/** What the driver of a device says beside ggml: its own count of memory, and who else uses it. */
function driverFacts(
  busId: string | undefined,
  unified: boolean,
  cards: NvmlCard[],
): Pick<Device, "busId" | "reading" | "power" | "usedBy" | "ownBytes"> {
  if (busId === undefined) return { usedBy: [] };
  const card = cards.find((one) => one.busId === busId);
  const users = card?.processes ?? drmUsers(busId, unified);
  const reading = card
    ? { totalBytes: card.totalBytes, usedBytes: card.usedBytes, freeBytes: card.freeBytes }
    : deviceReading({ busId });
  const power = card?.power ?? cardPower(busId);
  const ownBytes = users.find(({ pid }) => pid === process.pid)?.bytes;
  return {
    busId,
    ...(reading ? { reading } : {}),
    ...(power ? { power } : {}),
    usedBy: users.filter(({ pid }) => pid !== process.pid),
    ...(ownBytes ? { ownBytes } : {}),
  };
}

/** What is said now of the power of one device, or of the CPU's packages; nothing where nothing says it. */
export function powerOf(native: Native, device: Pointer): PowerReading[] {
  if (deviceKinds[native.ggml.deviceType(device)] === "cpu") return cpuPower().packages;
  const busId = busIdOf(native, device);
  const power = nvidiaCards().find((card) => card.busId === busId)?.power ?? cardPower(busId ?? "");
  return power ? [power] : [];
}

/** Whether a device works in the host's RAM: Apple's, integrated ones, and software that calls itself a device. */
function isUnified(device: Pick<Device, "name" | "description" | "kind">): boolean {
  return device.kind !== "gpu" || /^(Metal|MTL)/.test(device.name) || isSoftwareDevice(device);
}

/** The devices that layers can be offloaded to. */
export function offloadDevices(native: Native): Pointer[] {
  return allDevices(native).filter((device) => {
    const kind = deviceKinds[native.ggml.deviceType(device)];
    return kind === "gpu" || kind === "integrated-gpu";
  });
}

/** Whether any device of a plan computes on the CPU's cores. */
export function sharesCores(native: Native, { devices }: Plan): boolean {
  return offloadDevices(native).some(
    (device) => devices?.includes(native.ggml.deviceName(device)) !== false && isSoftware(native, device),
  );
}

/** Whether what calls itself a device computes on the CPU's cores. */
export function isSoftware({ ggml }: Pick<Native, "ggml">, device: Pointer): boolean {
  return isSoftwareDevice({ description: ggml.deviceDescription(device) });
}

/** The device of this name. Errors: `device-unknown`. */
export function deviceNamed(native: Native, name: string): Pointer {
  const devices = allDevices(native);
  const found = devices.find((device) => native.ggml.deviceName(device).toLowerCase() === name.toLowerCase());
  if (found === undefined) {
    throw new JaugeError("device-unknown", {
      device: name,
      known: devices.map((device) => native.ggml.deviceName(device)),
    });
  }
  return found;
}

/**
 * What a context and its model allocated, or in a `dry` run would allocate, per device; all host buffers together as
 * `host`. Empty where the libraries' report cannot be read on this platform.
 */
export function memoryUse(native: Native, context: Pointer, dry: boolean): MemoryUse[] {
  const uses = new Map<string, MemoryUse>();
  for (const { bufferType, weights, kv, compute } of memoryBreakdown(native.library, context) ?? []) {
    const device = bufferDevice(native, bufferType);
    const extra = (bytes: number) => (dry ? bytes + unmeasuredBytes(native, bufferType, bytes) : bytes);
    const use = uses.get(device) ?? { device, weightsBytes: 0, kvBytes: 0, computeBytes: 0 };
    use.weightsBytes += extra(weights);
    use.kvBytes += extra(kv);
    use.computeBytes += extra(compute);
    uses.set(device, use);
  }
  return [...uses.values()];
}

/**
 * What a buffer takes beyond what a dry run says. Vulkan's pinned host memory comes with 32 bytes more for each
 * buffer (ggml_backend_vk_host_buffer_type_alloc_buffer, ggml-vulkan.cpp v0.5.0); big ones are split at the type's
 * greatest size.
 */
function unmeasuredBytes({ ggml }: Native, bufferType: Pointer, bytes: number): number {
  if (bytes === 0 || ggml.bufferTypeName(bufferType) !== "Vulkan_Host") return 0;
  return 32 * Math.ceil(bytes / Number(ggml.bufferTypeMaxSize(bufferType)));
}

function bufferDevice(native: Native, bufferType: Pointer): string {
  const { ggml } = native;
  // Pinned host memory belongs to a GPU's buffer type but lives in RAM.
  if (ggml.bufferTypeIsHost(bufferType) || /_Host$/.test(ggml.bufferTypeName(bufferType))) return "host";
  const device = ggml.bufferTypeDevice(bufferType);
  if (device === null || deviceKinds[ggml.deviceType(device)] === "cpu") return "host";
  return ggml.deviceName(device);
}

function allDevices({ ggml }: Native): Pointer[] {
  return Array.from({ length: ggml.deviceCount() }, (_, index) => ggml.device(index));
}
