import { JaugeError } from "../errors.js";
import type { DeviceFacts, HardwareFacts } from "../hardware/facts.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import { formatBytes } from "../units.js";

/** What a person allows on one device or in RAM: bytes, a share of all its memory, or all but some of what is free. */
export type BudgetWish =
  | { kind: "bytes"; bytes: number }
  | { kind: "share"; share: number }
  | { kind: "free-less"; bytes: number };

/** One wish for each device, or wishes for devices by name or index; those not named get their default. */
export type VramWish =
  | BudgetWish
  | { kind: "by-device"; wishes: readonly { device: string; wish: BudgetWish }[] };

/** What a person says about memory. What is absent has a default that is safe on a desktop in use. */
export interface BudgetWishes {
  vram?: VramWish;
  ram?: BudgetWish;
  /** Plan as if the machine's card had so many bytes, all free, and were its only device. */
  cardBytes?: number;
}

/** Budgets in bytes; `clamped` are those that were asked for and are not free. */
export interface Budgets {
  /** By ggml's name of the device. */
  devices: Record<string, number>;
  host: number;
  clamped: ClampedBudget[];
  /** A budget was given for devices, and there is none. */
  isWithoutDevice?: true;
}

export interface ClampedBudget {
  /** A device's name, or `host`. */
  device: string;
  askedBytes: number;
  freeBytes: number;
}

const { clamped: clampedText, expected } = localized(planViewMessages);

/** What stays free where nothing is said: the larger of so many bytes and a share of the total. */
const deviceReserve = { bytes: 512 * 2 ** 20, share: 0.05 };
const hostReserve = { bytes: 2 ** 30, share: 0.1 };

/**
 * The budgets of a machine in bytes: as wished, and never more than is free there; else free memory less a reserve.
 * The memory of a unified device is the host's: no more of it is given than RAM is available, and by default no more
 * than the RAM budget. What such a device takes still counts in both, which is for the planner to hold.
 * Errors: `budget-device-unknown`, `budget-invalid` where a device is named twice, `budget-card-missing`.
 */
export function resolveBudgets(wishes: BudgetWishes, facts: HardwareFacts): Budgets {
  const { host, devices } = assumedMachine(wishes, facts);
  const clamped: ClampedBudget[] = [];
  const limit = (device: string, asked: number, freeBytes: number) => {
    if (asked > freeBytes) clamped.push({ device, askedBytes: asked, freeBytes });
    return Math.max(0, Math.min(asked, freeBytes));
  };
  const free = Math.min(host.availableBytes, host.totalBytes);
  const hostBudget = wishes.ram
    ? limit("host", askedBytes(wishes.ram, host.totalBytes, free), free)
    : lessReserve(free, host.totalBytes, hostReserve);

  const wished = wishesByDevice(wishes.vram, devices);
  const budgets = devices.map((device): [string, number] => {
    const { name, totalBytes, unified } = device;
    const ownFree = Math.min(device.freeBytes, totalBytes);
    const deviceFree = unified ? Math.min(ownFree, free) : ownFree;
    const wish = wished.get(name);
    if (wish) return [name, limit(name, askedBytes(wish, totalBytes, deviceFree), deviceFree)];
    const budget = lessReserve(deviceFree, totalBytes, deviceReserve);
    return [name, unified ? Math.min(budget, hostBudget) : budget];
  });
  const isWithoutDevice = wishes.vram !== undefined && devices.length === 0;
  return {
    ...{ devices: Object.fromEntries(budgets), host: hostBudget, clamped },
    ...(isWithoutDevice && { isWithoutDevice }),
  };
}

/**
 * The machine that wishes speak of: the one there is, or the same with a card of another size. Speeds stay those of the
 * card there is. Errors: `budget-card-missing` where there is none.
 */
export function assumedMachine({ cardBytes }: BudgetWishes, facts: HardwareFacts): HardwareFacts {
  if (cardBytes === undefined) return facts;
  const card = facts.devices.find(({ unified }) => !unified);
  if (!card) throw new JaugeError("budget-card-missing", { hardware: facts.name });
  return { ...facts, devices: [{ ...card, totalBytes: cardBytes, freeBytes: cardBytes }] };
}

/** One line for people about a budget that is not free. */
export function clampedNote({ device, askedBytes, freeBytes }: ClampedBudget): string {
  const asked = formatBytes(askedBytes);
  return clampedText({ device: device === "host" ? "RAM" : device, asked, free: formatBytes(freeBytes) });
}

function askedBytes(wish: BudgetWish, total: number, free: number): number {
  switch (wish.kind) {
    case "bytes":
      return wish.bytes;
    case "share":
      return Math.floor(wish.share * total);
    case "free-less":
      return Math.max(0, free - wish.bytes);
  }
}

function lessReserve(free: number, total: number, reserve: { bytes: number; share: number }): number {
  return Math.max(0, free - Math.max(reserve.bytes, Math.ceil(reserve.share * total)));
}

/** A wish for each device stands for as many as there are: on a machine without one it allows nothing, and asks nothing. */
function wishesByDevice(
  vram: VramWish | undefined,
  devices: readonly DeviceFacts[],
): Map<string, BudgetWish> {
  const found = new Map<string, BudgetWish>();
  if (!vram) return found;
  if (vram.kind !== "by-device") return new Map(devices.map(({ name }) => [name, vram]));
  for (const { device, wish } of vram.wishes) {
    const { name } = deviceNamed(device, devices);
    if (found.has(name)) {
      const value = vram.wishes.map((entry) => entry.device).join(", ");
      throw new JaugeError("budget-invalid", { option: "--vram", value, expected: expected.once });
    }
    found.set(name, wish);
  }
  return found;
}

function deviceNamed(text: string, devices: readonly DeviceFacts[]): DeviceFacts {
  const byName = devices.find(({ name }) => name.toLowerCase() === text.toLowerCase());
  const found = byName ?? (/^\d{1,3}$/.test(text) ? devices[Number(text)] : undefined);
  if (found) return found;
  const known = devices.map(({ name }, index) => `${index} ${name}`);
  throw new JaugeError("budget-device-unknown", { option: "--vram", device: text, known });
}
