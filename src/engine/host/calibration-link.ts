import type { LinkSpeed } from "../../hardware/facts.js";
import { inBackground, NativeArray, type Pointer } from "../native/ffi.js";
import type { Clock } from "./calibration-clock.js";
import type { Workbench } from "./calibration-workbench.js";

const copiedBytes = 64 * 2 ** 20;
/** A hidden state of 2048 elements. */
const hidden = 2048;

/** Measures copies between host memory and a device's, and what handing a hidden state over costs. */
export async function linkSpeed(workbench: Workbench, clock: Clock): Promise<LinkSpeed> {
  const { functions } = workbench;
  const pageable = await copySpeeds(workbench, clock, new NativeArray(Uint8Array, copiedBytes).address);
  const hostType = functions.hostBufferType(workbench.device);
  const buffer = hostType === null ? null : functions.allocateBuffer(hostType, copiedBytes);
  let pinned = pageable;
  if (buffer !== null) {
    pinned = await copySpeeds(workbench, clock, functions.bufferBase(buffer));
    functions.freeBuffer(buffer);
  }
  return {
    toDevice: { pageableBytesPerSecond: pageable.toDevice, pinnedBytesPerSecond: pinned.toDevice },
    toHost: { pageableBytesPerSecond: pageable.toHost, pinnedBytesPerSecond: pinned.toHost },
    crossingSeconds: await crossingSeconds(workbench, clock),
  };
}

async function copySpeeds(workbench: Workbench, clock: Clock, memory: Pointer) {
  const { functions } = workbench;
  using target = workbench.tensors(1);
  const tensor = target.make("F32", [copiedBytes / 4]);
  target.allocate();
  const copy = async (call: typeof functions.set) => {
    const seconds = await clock.time(async () => {
      await inBackground(call, tensor, memory, 0, copiedBytes);
      functions.synchronize(workbench.backend);
    });
    return copiedBytes / seconds;
  };
  return { toDevice: await copy(functions.set), toHost: await copy(functions.get) };
}

/** Half of: a hidden state to the device, a graph of one node there, and the result back. */
async function crossingSeconds(workbench: Workbench, clock: Clock): Promise<number> {
  const { functions, backend } = workbench;
  using work = workbench.tensors(3);
  const input = work.make("F32", [hidden]);
  const result = functions.scale(work.context, input, 0.5);
  const graph = work.graph(result);
  work.allocate();
  const state = new NativeArray(Uint8Array, hidden * 4).address;
  const seconds = await clock.time(() => {
    // Called directly: each takes microseconds, about as long as a trip to another thread.
    functions.set(input, state, 0, hidden * 4);
    functions.compute(backend, graph);
    functions.get(result, state, 0, hidden * 4);
  });
  return seconds / 2;
}
