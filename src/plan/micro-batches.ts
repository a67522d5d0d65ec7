import { type Fitted, type SolveRequest, usesDevices } from "./fit.js";

/** Micro-batches that are tried where weights are streamed: each carries them over the link once. */
export const largerMicroBatches = [1024, 2048];

/** Micro-batches that leave more room on a small device. */
export const smallerMicroBatches = [256, 128, 64];

/** A gain below this is none. */
export const worthMore = 1.02;

/** Share of a device's budget that is much for compute buffers. */
const muchForCompute = 0.1;

/** Whether compute buffers leave a device empty, or take much of it. */
export function areDevicesCrowded(
  { machine: { usable, budgets, fixed }, wishes }: SolveRequest,
  { placement, memory }: Fitted,
): boolean {
  if (wishes.microBatch !== undefined || fixed.layers === 0) return false;
  const isEmpty = !usesDevices(placement);
  return usable.some((index) => {
    const budget = budgets.devices[index]!;
    return budget > 0 && (isEmpty || memory[index + 1]!.compute > muchForCompute * budget);
  });
}
