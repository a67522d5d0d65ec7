import { drmCards } from "./drm.js";

/** A device's memory as its driver tells it, whoever uses it. In bytes. */
export interface DeviceReading {
  totalBytes: number;
  usedBytes: number;
  freeBytes: number;
}

/**
 * What the driver says now about a device's own memory, without the compute libraries: cheap, and safe to ask again and
 * again while they compute. Undefined where only they know (llvmpipe, Apple, Intel), and for NVIDIA's cards, whose
 * driver library belongs into the engine's process: it answers there, as `Device.reading`.
 */
export function deviceReading(device: { busId?: string }, root = ""): DeviceReading | undefined {
  if (device.busId === undefined) return undefined;
  const memory = drmCards(root).find((card) => card.busId === device.busId)?.memory;
  if (memory === undefined) return undefined;
  return { ...memory, freeBytes: Math.max(0, memory.totalBytes - memory.usedBytes) };
}
