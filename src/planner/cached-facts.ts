import { listDevices } from "../engine/engine.js";
import type { LibraryWish } from "../engine/native/libraries.js";
import type { Device } from "../engine/protocol.js";
import { defaultThreads } from "../hardware/cpu.js";
import type { HardwareFacts } from "../hardware/facts.js";
import { calibrationKey, readRecord } from "./calibration-cache.js";
import { factsOf } from "./facts.js";

/**
 * The facts of this machine as of now, with the speeds that the doctor has measured on it where it has. Reads no more
 * than that: measuring takes time that the person is asked for first. Errors: those of the libraries.
 */
export async function cachedFacts(
  libraries: LibraryWish,
  devices?: readonly Device[],
): Promise<HardwareFacts> {
  const listed = devices ?? (await listDevices({ libraries }));
  const record = await readRecord(calibrationKey(listed, libraries, defaultThreads()));
  return factsOf(listed, record?.calibration);
}
