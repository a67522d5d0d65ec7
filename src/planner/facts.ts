import type { ComputeSpeed, LinkSpeed } from "../hardware/facts.js";

/** What the doctor measured on this machine. Sizes are bytes, speeds are per second. */
export interface Calibration {
  host: ComputeSpeed;
  /** By ggml's name of the device. `runtimeBytes`: device memory that the runtime takes before any tensor. */
  devices: Record<string, { speed: ComputeSpeed; link: LinkSpeed; runtimeBytes: number }>;
  /** Host memory that jauge and the libraries take before any tensor. */
  hostRuntimeBytes: number;
  /** Sequential read speed of the disk that holds the models. */
  diskBytesPerSecond?: number;
}
