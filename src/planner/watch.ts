import type { Engine } from "../engine/engine.js";
import type { Device } from "../engine/protocol.js";
import { EnergyMeter } from "../hardware/energy.js";
import { type CpuPower, cpuPower } from "../hardware/power.js";

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

/** What computing took, as far as counters and drivers tell. */
export interface EnergyUse {
  /** Joules since the model was loaded, by device and for `host` (the CPU), whoever used them. */
  joules: Record<string, number>;
  /** The CPU's counter, where it is there but only root may read it. */
  refused?: string;
}

const intervalMs = 2000;
/** Smaller changes are no event: windows come and go. */
const leastBytes = 64 * 2 ** 20;
const keepFreeBytes = 256 * 2 ** 20;

/**
 * Watches the devices that an engine uses: tells when another program takes of their memory, keeps the most that the
 * engine's host held of each by its driver's count, and adds up their energy and the CPU's. It never keeps the process alive.
 */
export class DeviceWatch {
  private readonly peaks = new Map<string, number>();
  private readonly space = new SpaceWatch();
  private readonly meter = new EnergyMeter();
  private readonly cpu: CpuPower = cpuPower();
  private readonly timer: NodeJS.Timeout | undefined;
  private isAsking = false;

  constructor(
    private readonly engine: Engine,
    private readonly onTaken: (taken: SpaceTaken) => void,
  ) {
    const hasDevices = (engine.plan.devices?.length ?? 0) > 0;
    if (!hasDevices && !this.countsCpu) return;
    this.lookAtCpu();
    this.timer = setInterval(() => void this.look(), intervalMs);
    this.timer.unref();
  }

  /** Bytes by device, where its driver counts them; looked at once more. */
  async peakBytes(): Promise<ReadonlyMap<string, number>> {
    if (this.timer) await this.look();
    return this.peaks;
  }

  /** Looked at once more. */
  async energy(): Promise<EnergyUse> {
    if (this.timer) await this.look();
    const { refused } = this.cpu;
    return { joules: Object.fromEntries(this.meter.joules), ...(refused !== undefined && { refused }) };
  }

  private get countsCpu(): boolean {
    return this.cpu.packages.some(({ joules }) => joules !== undefined);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private lookAtCpu(): void {
    if (this.countsCpu) this.meter.observe("host", cpuPower().packages, seconds());
  }

  private async look(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      this.lookAtCpu();
      const { restarts, plan } = this.engine;
      if (!plan.devices?.length) return;
      const used = new Set(plan.devices);
      const devices = (await this.engine.devices()).filter(({ name }) => used.has(name));
      for (const { name, ownBytes = 0 } of devices)
        if (ownBytes > (this.peaks.get(name) ?? 0)) this.peaks.set(name, ownBytes);
      for (const { name, power, unified } of devices) {
        // The CPU's packages count the graphics that they hold.
        if (power && !(unified && this.countsCpu)) this.meter.observe(name, [power], seconds());
      }
      // A new host begins with other free memory: it is no one else's doing.
      for (const taken of this.space.observe(devices, restarts)) this.onTaken(taken);
    } catch {
      // The host is down: its executor brings it back, and the watch goes on then.
    } finally {
      this.isAsking = false;
    }
  }
}

function seconds(): number {
  return performance.now() / 1000;
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
