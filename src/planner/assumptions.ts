import type { Device } from "../engine/protocol.js";
import type { ComputeSpeed, LinkSpeed } from "../hardware/facts.js";
import { cardSpeeds } from "../hardware/profiles/cards.js";
import { processor } from "../hardware/profiles/hosts.js";
import { cudaRatios } from "../hardware/profiles/type-ratios.js";
import { isSoftwareDevice } from "../hardware/software-device.js";

// What to expect of a machine before the doctor has measured it. Rather too little than too much: a plan that turns out
// faster than promised disappoints nobody.

/** Memory that the runtimes take before any tensor, in bytes. */
export const assumedRuntimeBytes = {
  /** Two Node processes and the libraries. */
  host: 300e6,
  /** CUDA's context and its first pools; Vulkan keeps little; software has its memory in the host. */
  device: ({ name, unified }: Pick<Device, "name" | "unified">): number =>
    unified ? 64 * 2 ** 20 : /^(CUDA|ROCm)/.test(name) ? 450 * 2 ** 20 : 200 * 2 ** 20,
};

/** A processor with two channels of DDR4, and 5 tokens/s per core in the prompt of an 8B Q4_K_M, as a Zen 3 has. */
export function assumedHostSpeed(threads: number): ComputeSpeed {
  // One core alone does not reach what two channels give.
  const readBytesPerSecond = Math.min(38.4e9, 12e9 * threads);
  return processor({ readBytesPerSecond, promptTokensPerSecond: 5 * threads });
}

/** An unknown card: the slowest of those in the profiles. Integrated graphics share the host's memory. */
export function assumedSpeed(device: Pick<Device, "description" | "unified">): ComputeSpeed {
  if (!device.unified) return cardSpeeds[0]!.speed;
  return isSoftwareDevice(device)
    ? processor({ readBytesPerSecond: 1e9, promptTokensPerSecond: 0.3, nodeSeconds: 200e-6 })
    : processor({
        readBytesPerSecond: 35e9,
        promptTokensPerSecond: 60,
        nodeSeconds: 5e-6,
        ratios: cudaRatios,
      });
}

/** PCI Express 3.0 with 16 lanes, as older boards have it; a copy in RAM where the memory is the host's. */
export function assumedLink({ unified }: Pick<Device, "unified">): LinkSpeed {
  const copy = unified
    ? { pageableBytesPerSecond: 10e9, pinnedBytesPerSecond: 10e9 }
    : { pageableBytesPerSecond: 6e9, pinnedBytesPerSecond: 12e9 };
  return { toDevice: copy, toHost: copy, crossingSeconds: unified ? 100e-6 : 50e-6 };
}
