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
 * Watches the devices that an engine uses: tells when another program takes of their memory, and keeps the most that the
 * engine's host held of each by its driver's count. It never keeps the process alive.
 */
export class DeviceWatch {
  private readonly peaks = new Map<string, number>();
  private readonly space = new SpaceWatch();
  private readonly timer: NodeJS.Timeout | undefined;
  private isAsking = false;

  constructor(
    private readonly engine: Engine,
    private readonly onTaken: (taken: SpaceTaken) => void,
  ) {
    if (!engine.plan.devices?.length) return;
    this.timer = setInterval(() => void this.look(), intervalMs);
    this.timer.unref();
  }

  /** Bytes by device, where its driver counts them; looked at once more. */
  async peakBytes(): Promise<ReadonlyMap<string, number>> {
    if (this.timer) await this.look();
    return this.peaks;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      const { restarts, plan } = this.engine;
      const used = new Set(plan.devices);
      const devices = (await this.engine.devices()).filter(({ name }) => used.has(name));
      for (const { name, ownBytes = 0 } of devices)
        if (ownBytes > (this.peaks.get(name) ?? 0)) this.peaks.set(name, ownBytes);
      // A new host begins with other free memory: it is no one else's doing.
      for (const taken of this.space.observe(devices, restarts)) this.onTaken(taken);
    } catch {
      // The host is down: its executor brings it back, and the watch goes on then.
    } finally {
      this.isAsking = false;
    }
  }
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
