import { Measurer } from "../src/engine/engine.js";
import type { LibraryWish } from "../src/engine/native/libraries.js";
import type { ComputeSpeed, HardwareFacts, LinkSpeed, MatrixSpeed } from "../src/hardware/facts.js";
import { factsOf } from "../src/planner/facts.js";

/** Device memory that the runtime is said to take, so that budgets have it to keep. */
const runtimeBytes = 3 * 2 ** 20;

/**
 * This machine's memory and devices with made-up speeds: a device ten times as fast as the CPU and a fast link, so that
 * plans fill it. Its memory counts as its own, not as RAM, as that of a graphics card would.
 */
export async function syntheticFacts(libraries: LibraryWish): Promise<HardwareFacts> {
  await using measurer = new Measurer({ libraries });
  const listed = await measurer.devices();
  const facts = preferringDevices(factsOf(listed));
  return {
    ...facts,
    host: { ...facts.host, runtimeBytes: 100 * 2 ** 20 },
    devices: facts.devices.map((device) => ({ ...device, runtimeBytes, unified: false })),
  };
}

/** The same machine with devices that are ten times as fast as its CPU, so that plans fill what they may. */
export function preferringDevices(facts: HardwareFacts): HardwareFacts {
  const link: LinkSpeed = { toDevice: copies(20e9), toHost: copies(20e9), crossingSeconds: 5e-6 };
  const devices = facts.devices.map((device) => ({ ...device, speed: speed(200e9), link }));
  return { ...facts, host: { ...facts.host, speed: speed(20e9) }, devices };
}

function speed(memoryBytesPerSecond: number): ComputeSpeed {
  const every: MatrixSpeed = {
    rows: [1, 8, 512],
    bytesPerSecond: [memoryBytesPerSecond, memoryBytesPerSecond / 2, memoryBytesPerSecond / 50],
  };
  return {
    memoryBytesPerSecond,
    nodeSeconds: 1e-6,
    matrix: { Q4_K: every, Q8_0: every, F16: every, F32: every },
    attention: { oneRowPerSecond: memoryBytesPerSecond, batchPerSecond: 10 * memoryBytesPerSecond },
  };
}

function copies(bytesPerSecond: number) {
  return { pageableBytesPerSecond: bytesPerSecond / 2, pinnedBytesPerSecond: bytesPerSecond };
}
