import { posix } from "node:path";
import { readNumber, readText } from "./system-files.js";

/** What the cgroups of this process leave of the machine's memory, in bytes; Infinity where they set no limit. */
export interface CgroupMemory {
  limitBytes: number;
  availableBytes: number;
}

/**
 * The tightest memory limit among this process's cgroup and all its ancestors, of version 1 and 2 alike. Page cache that
 * a group can drop (`inactive_file`) is available. Where version 2 throttles a group before its limit
 * (`memory.high`), that is the limit.
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 */
export function cgroupMemory(root = ""): CgroupMemory {
  const found: CgroupMemory = {
    limitBytes: Number.POSITIVE_INFINITY,
    availableBytes: Number.POSITIVE_INFINITY,
  };
  for (const { folder, version } of cgroupFolders("memory", root)) {
    const files = memoryFiles[version];
    const limits = files.limits
      .map((name) => readNumber(`${folder}/${name}`))
      .filter((limit) => limit !== undefined && limit < unlimitedBytes) as number[];
    if (limits.length === 0) continue;
    const limit = Math.min(...limits);
    const used = readNumber(`${folder}/${files.used}`) ?? 0;
    const stat = readText(`${folder}/memory.stat`) ?? "";
    const droppable = Number(files.droppable.exec(stat)?.[1] ?? 0);
    found.limitBytes = Math.min(found.limitBytes, limit);
    found.availableBytes = Math.min(found.availableBytes, Math.max(0, limit - used + droppable));
  }
  return found;
}

/** CPU time that the cgroups of this process grant, in cores (1.5 is one and a half); undefined without a quota. */
export function cgroupCores(root = ""): number | undefined {
  let cores: number | undefined;
  for (const { folder, version } of cgroupFolders("cpu", root)) {
    const quota =
      version === 2
        ? readText(`${folder}/cpu.max`)
        : `${readText(`${folder}/cpu.cfs_quota_us`)?.trim()} ${readText(`${folder}/cpu.cfs_period_us`)?.trim()}`;
    const match = /^(\d+) (\d+)/.exec(quota ?? "");
    if (!match || Number(match[2]) === 0) continue;
    cores = Math.min(cores ?? Number.POSITIVE_INFINITY, Number(match[1]) / Number(match[2]));
  }
  return cores;
}

/** Version 1 writes "no limit" as the greatest multiple of a page that fits in 63 bits. */
const unlimitedBytes = 2 ** 62;

const memoryFiles = {
  1: {
    limits: ["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    droppable: /^total_inactive_file (\d+)/m,
  },
  2: { limits: ["memory.max", "memory.high"], used: "memory.current", droppable: /^inactive_file (\d+)/m },
} as const;

interface CgroupFolder {
  folder: string;
  version: 1 | 2;
}

/** The folders of this process's group for a controller and of all its ancestors, as far up as they are mounted. */
export function cgroupFolders(controller: string, root = ""): CgroupFolder[] {
  const memberships = parseCgroups(readText(`${root}/proc/self/cgroup`) ?? "");
  const folders: CgroupFolder[] = [];
  for (const mount of parseMounts(readText(`${root}/proc/self/mountinfo`) ?? "")) {
    const membership = memberships.find((one) =>
      mount.version === 2
        ? one.controllers.length === 0
        : one.controllers.includes(controller) && mount.options.includes(controller),
    );
    if (membership === undefined) continue;
    // Inside a container the group's path may be given as the host sees it, and its folder be mounted as the root.
    const below = posix.relative(mount.root, membership.path);
    let folder = below.startsWith("..") ? mount.point : posix.join(mount.point, below);
    for (; folder.length >= mount.point.length; folder = posix.dirname(folder)) {
      folders.push({ folder: `${root}${folder}`, version: mount.version });
      if (folder === mount.point) break;
    }
  }
  return folders;
}

/** Lines of /proc/self/cgroup: `4:memory:/user.slice` (version 1) and `0::/user.slice` (version 2). */
function parseCgroups(text: string): { controllers: string[]; path: string }[] {
  return [...text.matchAll(/^\d+:([^:]*):(.*)$/gm)].map(([, controllers, path]) => ({
    controllers: controllers!.split(",").filter((name) => name !== ""),
    path: path!,
  }));
}

/** Lines of /proc/self/mountinfo: `31 23 0:28 ROOT POINT OPTIONS … - TYPE SOURCE SUPEROPTIONS` (proc(5)). */
function parseMounts(text: string): { root: string; point: string; version: 1 | 2; options: string[] }[] {
  return [...text.matchAll(/^\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$/gm)].map(
    ([, mountRoot, point, type, options]) => ({
      root: unescaped(mountRoot!),
      point: unescaped(point!),
      version: type === "cgroup2" ? 2 : 1,
      options: options!.split(","),
    }),
  );
}

/** Blanks in mountinfo are octal: `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
