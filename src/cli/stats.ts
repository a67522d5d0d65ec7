import type { GenerationStats } from "../executor/request.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import type { ModelPlan } from "../plan/model-plan.js";
import type { MemoryUse } from "../plan/plan.js";
import { formatBytes, formatDecimal } from "../units.js";
import { placeName } from "./plan-format.js";
import { columns } from "./terminal.js";

const { stats: texts } = localized(cliMessages);

/** The stats that `jauge run --json` prints: a public contract. */
export interface ReportedStats {
  promptTokens: number;
  promptTokensPerSecond: number | null;
  generatedTokens: number;
  generationTokensPerSecond: number | null;
  timeToFirstTokenMs: number | null;
  /** Each with the runtime's own share, as the plan counts it. */
  devices: ReportedDevice[];
}

/** What was allowed, planned and taken of one memory. */
export interface ReportedDevice {
  name: string;
  budgetBytes: number;
  plannedBytes: number;
  allocatedBytes: number;
  /** The most that was held by the driver's or the system's own count; absent where it has none. */
  peakBytes?: number;
}

export function reportedStats(
  stats: GenerationStats,
  memory: readonly MemoryUse[],
  plan: ModelPlan,
  peaks: Record<string, number>,
): ReportedStats {
  return {
    promptTokens: stats.promptTokens,
    promptTokensPerSecond: stats.promptTokensPerSecond,
    generatedTokens: stats.generatedTokens,
    generationTokensPerSecond: stats.generationTokensPerSecond,
    timeToFirstTokenMs: stats.timeToFirstTokenMs,
    devices: reportedDevices(memory, plan, peaks),
  };
}

/** Of each memory that the plan or the engine uses. */
export function reportedDevices(
  memory: readonly MemoryUse[],
  plan: ModelPlan,
  peaks: Record<string, number>,
): ReportedDevice[] {
  const places = [...plan.devices, plan.host].filter(
    ({ name, plannedBytes }) => plannedBytes > 0 || memory.some(({ device }) => device === name),
  );
  return places.map(({ name, budgetBytes, plannedBytes, breakdown }) => {
    const use = memory.find(({ device }) => device === name);
    return {
      name,
      budgetBytes,
      plannedBytes,
      allocatedBytes: (use ? allocated(use) : 0) + breakdown.runtime,
      ...(peaks[name] !== undefined && { peakBytes: peaks[name] }),
    };
  });
}

/** The speed of an answer, for people. */
export function speedLines(stats: GenerationStats): string[] {
  const rows = [
    [
      texts.prompt,
      texts.tokens({ tokens: stats.promptTokens, cached: stats.cachedPromptTokens }),
      speed(stats.promptTokensPerSecond),
    ],
    [
      texts.generation,
      texts.tokens({ tokens: stats.generatedTokens, cached: 0 }),
      speed(stats.generationTokensPerSecond),
    ],
  ];
  if (stats.timeToFirstTokenMs !== null)
    rows.push([texts.firstToken, `${formatDecimal(stats.timeToFirstTokenMs, 1)} ms`]);
  if (stats.speculatedTokens > 0) {
    const counts = { accepted: stats.acceptedTokens, tried: stats.speculatedTokens };
    rows.push([texts.speculation, texts.accepted(counts)]);
  }
  return columns(rows);
}

/** What each device holds, for people. */
export function memoryLines(memory: readonly MemoryUse[], { devices, host }: ModelPlan): string[] {
  const rows = memory.map((use) => {
    const runtime = [...devices, host].find(({ name }) => name === use.device)?.breakdown.runtime ?? 0;
    return [
      texts.memory({ device: placeName(use.device) }),
      formatBytes(allocated(use) + runtime),
      texts.memoryParts({
        weights: formatBytes(use.weightsBytes),
        kv: formatBytes(use.kvBytes),
        compute: formatBytes(use.computeBytes),
        runtime: formatBytes(runtime),
      }),
    ];
  });
  return columns(rows);
}

function allocated(use: MemoryUse): number {
  return use.weightsBytes + use.kvBytes + use.computeBytes;
}

function speed(tokensPerSecond: number | null): string {
  return tokensPerSecond === null ? "" : texts.speed({ speed: formatDecimal(tokensPerSecond, 1) });
}
