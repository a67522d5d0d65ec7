import type { Engine } from "../engine/engine.js";
import type { Device } from "../engine/protocol.js";

/** Another program took memory of a device that a loaded model is on. */
export interface SpaceTaken {
  device: string;
  /** Since the model was loaded, or since the last report. */
  takenBytes: number;
  /** Free on the device now. */
  leftBytes: number;
  /** What should stay free for the desktop and its programs. */
  keepFreeBytes: number;
}

const intervalMs = 2000;
/** Smaller changes are no event: windows come and go. */
const leastBytes = 64 * 2 ** 20;
const keepFreeBytes = 256 * 2 ** 20;

/**
 * Watches the free memory of the devices that an engine uses, and tells when another program takes of it. Ends with the
 * returned function. It never keeps the process alive.
 */
export function watchDevices(engine: Engine, onTaken: (taken: SpaceTaken) => void): () => void {
  if (!engine.plan.devices?.length) return () => {};
  const watch = new SpaceWatch();
  let asking = false;
  const timer = setInterval(async () => {
    if (asking) return;
    asking = true;
    try {
      const used = new Set(engine.plan.devices);
      const { restarts } = engine;
      const devices = (await engine.devices()).filter(({ name }) => used.has(name));
      // A new host begins with other free memory: it is no one else's doing.
      for (const taken of watch.observe(devices, restarts)) onTaken(taken);
    } catch {
      // The host is down: its executor brings it back, and the watch goes on then.
    } finally {
      asking = false;
    }
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Compares readings of free memory. */
export class SpaceWatch {
  private readonly free = new Map<string, number>();
  private generation: number | undefined;

  /** What was taken since the last reading that reported anything; readings of another `generation` start anew. */
  observe(devices: readonly Pick<Device, "name" | "freeBytes">[], generation: number): SpaceTaken[] {
    if (generation !== this.generation) this.free.clear();
    this.generation = generation;
    return devices.flatMap(({ name, freeBytes }) => {
      const before = this.free.get(name);
      if (before === undefined || freeBytes > before) {
        this.free.set(name, freeBytes);
        return [];
      }
      const takenBytes = before - freeBytes;
      if (takenBytes < leastBytes) return [];
      this.free.set(name, freeBytes);
      return [{ device: name, takenBytes, leftBytes: freeBytes, keepFreeBytes }];
    });
  }
}
