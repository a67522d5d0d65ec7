import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { llamaVersion, packageVersion } from "../src/engine/native/libraries.js";

/** What figures are worth nothing without: the machine, the versions, the day, and how to take them again. */
export function machineDescription(command: string): string {
  const processors = cpus();
  const flags = processorFlags().filter((flag) => notable.has(flag));
  return [
    `- CPU: ${processors[0]?.model.trim()}, ${processors.length} cores${flags.length > 0 ? ` (${flags.join(", ")})` : ""}`,
    `- RAM: ${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    `- system: ${type()} ${release()}, Node ${process.versions.node}`,
    `- libraries: llama.cpp ${llamaVersion}, as in @node-llama-cpp/* ${packageVersion}`,
    `- date: ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `- load average before: ${loadavg()
      .map((load) => load.toFixed(2))
      .join(" ")}`,
    `- command: \`${command}\``,
  ].join("\n");
}

const notable = new Set(["avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "sve"]);

function processorFlags(): string[] {
  try {
    const line = readFileSync("/proc/cpuinfo", "utf8").match(/^(?:flags|Features)\s*:\s*(.*)$/m);
    return line?.[1]?.split(" ") ?? [];
  } catch {
    return [];
  }
}
