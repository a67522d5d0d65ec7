import type { PowerReading } from "./power.js";

interface Observed extends PowerReading {
  seconds: number;
}

/**
 * Adds up the energy of processors from readings of their power: the difference of two counts where there is a counter,
 * else the mean of two powers over the time between them. Readings should be seconds apart, not minutes: counters return to 0.
 */
export class EnergyMeter {
  private readonly last = new Map<string, Observed[]>();
  private readonly taken = new Map<string, number>();

  /**
   * Takes in what is said of a processor at a moment, a reading for each of its packages; nothing where they say neither
   * energy nor power.
   */
  observe(name: string, readings: readonly PowerReading[], seconds: number): void {
    if (readings.every(({ joules, watts }) => joules === undefined && watts === undefined)) return;
    const before = this.last.get(name);
    const now = readings.map((reading) => ({ ...reading, seconds }));
    let sum = this.taken.get(name) ?? 0;
    for (const [index, one] of now.entries()) if (before?.[index]) sum += joulesBetween(before[index], one);
    this.last.set(name, now);
    this.taken.set(name, sum);
  }

  /** Joules since the first reading of each processor. */
  get joules(): ReadonlyMap<string, number> {
    return this.taken;
  }
}

function joulesBetween(before: Observed, now: Observed): number {
  if (before.joules !== undefined && now.joules !== undefined) {
    const difference = now.joules - before.joules;
    // A counter without an end that is lower than it was has begun anew, with its driver.
    return difference >= 0
      ? difference
      : now.wrapJoules === undefined
        ? now.joules
        : difference + now.wrapJoules;
  }
  if (before.watts === undefined || now.watts === undefined) return 0;
  return ((before.watts + now.watts) / 2) * Math.max(0, now.seconds - before.seconds);
}
