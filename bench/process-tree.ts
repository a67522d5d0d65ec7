import { readdirSync, readFileSync } from "node:fs";

/** Most resident memory of a process and all below it, together, looked at twenty times a second. Linux only. */
export class TreeMemory {
  peakBytes = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly processId: number) {
    this.timer = setInterval(() => this.look(), 50);
  }

  stop(): number {
    clearInterval(this.timer);
    return this.peakBytes;
  }

  private look(): void {
    this.peakBytes = Math.max(this.peakBytes, bytesOf(this.processId));
  }
}

function bytesOf(processId: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, "utf8"))?.[1];
    let bytes = Number(kilobytes ?? 0) * 1024;
    for (const thread of readdirSync(`/proc/${processId}/task`)) {
      const children = readFileSync(`/proc/${processId}/task/${thread}/children`, "utf8");
      for (const child of children.split(" ").filter(Boolean)) bytes += bytesOf(Number(child));
    }
    return bytes;
  } catch {
    return 0; // it has just ended
  }
}
