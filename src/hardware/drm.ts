import { linkTarget, namesIn, readNumber, readText } from "./system-files.js";

/** A graphics card as Linux's direct rendering manager shows it. */
export interface DrmCard {
  /** PCI address: `0000:03:00.0`. */
  busId: string;
  vendor: "amd" | "intel" | "nvidia" | "other";
  /** Its own memory in bytes, where the driver tells it (amdgpu does). */
  memory?: { totalBytes: number; usedBytes: number };
}

/** The cards of this machine, by sysfs; none on other systems. */
export function drmCards(root = ""): DrmCard[] {
  const folder = `${root}/sys/class/drm`;
  return namesIn(folder)
    .filter((name) => /^card\d+$/.test(name))
    .toSorted((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
    .flatMap((name) => {
      const device = `${folder}/${name}/device`;
      const busId = /^PCI_SLOT_NAME=(\S+)$/m.exec(readText(`${device}/uevent`) ?? "")?.[1];
      if (busId === undefined) return [];
      const vendor = vendors[readText(`${device}/vendor`)?.trim() ?? ""] ?? "other";
      // Source: Linux, Documentation/gpu/amdgpu/driver-misc.rst, "Memory usage information".
      const totalBytes = readNumber(`${device}/mem_info_vram_total`);
      const usedBytes = readNumber(`${device}/mem_info_vram_used`);
      const known = totalBytes !== undefined && usedBytes !== undefined;
      return [{ busId, vendor, ...(known ? { memory: { totalBytes, usedBytes } } : {}) }];
    });
}

const vendors: Record<string, DrmCard["vendor"]> = { "0x1002": "amd", "0x8086": "intel", "0x10de": "nvidia" };

/** What a process takes of a card's memory. */
export interface DeviceUser {
  pid: number;
  name: string;
  /** Absent where the driver does not tell. */
  bytes?: number;
}

/**
 * The processes that hold memory of the card at a PCI address, greatest first, from /proc: those of the same user, of
 * all users for root. With `unified`, memory of the host that the card works on counts as well.
 */
export function drmUsers(busId: string, unified: boolean, root = ""): DeviceUser[] {
  const users: DeviceUser[] = [];
  // A file that was opened once may be held by several processes: its client is counted once.
  const seen = new Set<string>();
  for (const process of namesIn(`${root}/proc`).filter((name) => /^\d+$/.test(name))) {
    let bytes = 0;
    for (const fd of namesIn(`${root}/proc/${process}/fd`)) {
      if (!linkTarget(`${root}/proc/${process}/fd/${fd}`)?.startsWith("/dev/dri/")) continue;
      const client = parseFdinfo(readText(`${root}/proc/${process}/fdinfo/${fd}`) ?? "");
      if (client?.busId !== busId || seen.has(client.id)) continue;
      seen.add(client.id);
      bytes += client.deviceBytes + (unified ? client.hostBytes : 0);
    }
    if (bytes === 0) continue;
    const name = readText(`${root}/proc/${process}/comm`)?.trim() ?? "";
    users.push({ pid: Number(process), name, bytes });
  }
  return users.toSorted((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0));
}

interface DrmClient {
  busId: string;
  id: string;
  deviceBytes: number;
  hostBytes: number;
}

/**
 * One client of a DRM device, from /proc/PID/fdinfo/FD; undefined where it is none. Drivers name their memory regions:
 * amdgpu `vram`, `gtt`, `cpu`; i915 `local0`, `stolen-local0`, `system0`; xe `vram0`, `gtt`, `stolen`. What is resident
 * counts; `drm-memory-…` is the older key for the same, and `drm-total-…` is all there is otherwise.
 * Source: Linux, Documentation/gpu/drm-usage-stats.rst.
 */
export function parseFdinfo(text: string): DrmClient | undefined {
  const values = new Map(
    [...text.matchAll(/^(drm-[^:\s]+):\s*(.+?)\s*$/gm)].map(([, key, value]) => [key!, value!]),
  );
  const busId = values.get("drm-pdev");
  const id = values.get("drm-client-id");
  if (busId === undefined || id === undefined) return undefined;
  const regions = new Set(
    [...values.keys()].flatMap((key) => /^drm-(?:resident|memory|total)-(.+)$/.exec(key)?.[1] ?? []),
  );
  const client = { busId, id, deviceBytes: 0, hostBytes: 0 };
  for (const region of regions) {
    const value = ["resident", "memory", "total"]
      .map((kind) => values.get(`drm-${kind}-${region}`))
      .find(Boolean);
    const bytes = bytesOf(value ?? "");
    if (/^(vram|local|stolen-local)/.test(region)) client.deviceBytes += bytes;
    else client.hostBytes += bytes;
  }
  return client;
}

/** `12 KiB`, `3 MiB`, or bytes where there is no unit. */
function bytesOf(value: string): number {
  const match = /^(\d+)(?:\s+(KiB|MiB))?$/.exec(value);
  if (!match) return 0;
  return Number(match[1]) * { KiB: 2 ** 10, MiB: 2 ** 20, "": 1 }[(match[2] ?? "") as "KiB" | "MiB" | ""];
}
