import type { JobEnd, JobProgress } from "../batch/job.js";
import { batchMessages } from "../messages/batch-view.js";
import { locale, localized } from "../messages/locale.js";
import { formatBytes } from "../units.js";
import { energyLines, type JobEnergy, refusedLines } from "./batch-energy.js";
import { formatNumber, formatSpeed, placeName } from "./plan-format.js";
import type { ReportedDevice } from "./stats.js";
import { columns, print, styled } from "./terminal.js";

const texts = localized(batchMessages);

/** Shows where a job is: redrawn in place on a terminal, now and then a line elsewhere, events for programs. */
export interface BatchView {
  /** How often `update` should be called. */
  readonly intervalMs: number;
  update(progress: JobProgress, now: MachineState): void | Promise<void>;
  end(end: JobEnd, output: string, energy?: JobEnergy): void | Promise<void>;
}

/** What the machine gives to a job at a moment. */
export interface MachineState {
  devices: readonly ReportedDevice[];
  energy: JobEnergy;
}

export function batchView(options: { json: boolean }): BatchView {
  if (options.json) return new EventView();
  return process.stderr.isTTY ? new LiveView(process.stderr) : new LineView();
}

/** Rates over the last while, from counts at moments. */
class Rates {
  private readonly start = performance.now();
  private readonly moments: { ms: number; prompt: number; output: number; finished: number }[] = [];

  add({ promptTokens, outputTokens, done, failed }: JobProgress): void {
    this.moments.push({
      ms: performance.now(),
      prompt: promptTokens,
      output: outputTokens,
      finished: done + failed,
    });
    // About ten seconds, and never fewer than two moments.
    while (this.moments.length > 2 && this.moments.at(-1)!.ms - this.moments[1]!.ms > 10_000)
      this.moments.shift();
  }

  get elapsedMs(): number {
    return performance.now() - this.start;
  }

  perSecond(what: "prompt" | "output"): number {
    const [first, last] = [this.moments[0], this.moments.at(-1)];
    if (!first || !last || last.ms <= first.ms) return 0;
    return Math.max(0, ((last[what] - first[what]) * 1000) / (last.ms - first.ms));
  }

  /** Milliseconds that what is left takes, by the pace of this run as a whole; undefined before anything is done. */
  leftMs(progress: JobProgress): number | undefined {
    const all = expectedLines(progress);
    const finished = progress.done + progress.failed;
    if (all === undefined || finished === 0) return undefined;
    return (this.elapsedMs * Math.max(0, all - progress.skipped - progress.deferred - finished)) / finished;
  }
}

/** Lines of the whole input: known once it is read, before that as many as its bytes should have. */
function expectedLines({ read, isRead, readBytes, totalBytes }: JobProgress): number | undefined {
  if (isRead) return read;
  if (totalBytes === undefined || readBytes === 0) return undefined;
  return Math.max(read, Math.round((read * totalBytes) / readBytes));
}

/** On a terminal: a few lines, redrawn in place. */
class LiveView implements BatchView {
  readonly intervalMs = 500;
  private readonly rates = new Rates();
  private drawn = 0;

  constructor(private readonly stream: NodeJS.WriteStream) {}

  update(progress: JobProgress, { devices, energy }: MachineState): void {
    this.rates.add(progress);
    // A pseudo-terminal may have no width.
    const width = (this.stream.columns || 80) - 1;
    const lines = [
      bar(progress, Math.min(40, width)) + timing(progress, this.rates),
      counts(progress),
      speeds(progress, this.rates),
      ...energyLines(energy, progress),
      ...gauges(devices),
    ].map((line) => line.slice(0, width));
    this.erase();
    this.stream.write(lines.map((line) => `${line}\n`).join(""));
    this.drawn = lines.length;
  }

  end(end: JobEnd, output: string, energy?: JobEnergy): void {
    this.erase();
    for (const line of summary(end, this.rates, output, energy))
      this.stream.write(`${styled("dim", line, this.stream)}\n`);
  }

  private erase(): void {
    if (this.drawn > 0) this.stream.write(`\x1b[${this.drawn}A\x1b[J`);
    this.drawn = 0;
  }
}

/** Not on a terminal: a line every ten seconds. */
class LineView implements BatchView {
  readonly intervalMs = 1000;
  private readonly rates = new Rates();
  private lastMs = 0;

  update(progress: JobProgress, { devices, energy }: MachineState): void {
    this.rates.add(progress);
    if (this.rates.elapsedMs - this.lastMs < 10_000) return;
    this.lastMs = this.rates.elapsedMs;
    const parts = [counts(progress), timing(progress, this.rates).trim(), speeds(progress, this.rates)];
    process.stderr.write(`${[...parts, ...energyLines(energy, progress), ...gauges(devices)].join(" · ")}\n`);
  }

  end(end: JobEnd, output: string, energy?: JobEnergy): void {
    for (const line of summary(end, this.rates, output, energy)) process.stderr.write(`${line}\n`);
  }
}

/** For programs: one JSON object a line, every second and at the end. A public contract. */
class EventView implements BatchView {
  readonly intervalMs = 1000;
  private readonly rates = new Rates();

  async update(progress: JobProgress, { devices, energy }: MachineState): Promise<void> {
    this.rates.add(progress);
    await print(
      `${JSON.stringify({
        event: "progress",
        ...progress,
        elapsedMs: Math.round(this.rates.elapsedMs),
        leftMs: rounded(this.rates.leftMs(progress)),
        promptTokensPerSecond: rounded(this.rates.perSecond("prompt")),
        outputTokensPerSecond: rounded(this.rates.perSecond("output")),
        devices,
        energy: energyEvent(energy),
      })}\n`,
    );
  }

  async end(end: JobEnd, output: string, energy?: JobEnergy): Promise<void> {
    const elapsedMs = Math.round(this.rates.elapsedMs);
    const event = end.isInterrupted ? "interrupted" : "done";
    await print(
      `${JSON.stringify({ event, ...end, elapsedMs, output, energy: energy ? energyEvent(energy) : null })}\n`,
    );
  }
}

/** Joules since the job began; null where nothing counts them. */
function energyEvent({ joules, total }: JobEnergy) {
  return total === undefined ? null : { joules: rounded(total), places: joules };
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}

function bar(progress: JobProgress, width: number): string {
  const all = expectedLines(progress);
  if (all === undefined || all === 0) return "";
  const fraction = Math.min(1, (progress.skipped + progress.done + progress.failed) / all);
  const full = Math.round(fraction * width);
  return `${"█".repeat(full)}${"░".repeat(Math.max(0, width - full))} ${Math.floor(fraction * 100)} %`;
}

function timing(progress: JobProgress, rates: Rates): string {
  const left = rates.leftMs(progress);
  return [
    `  ${texts.elapsed} ${clock(rates.elapsedMs)}`,
    ...(left === undefined ? [] : [`${texts.left} ${clock(left)}`]),
  ].join(" · ");
}

function counts({ done, failed, running, waiting, skipped }: JobProgress): string {
  return [
    `${formatNumber(done + skipped)} ${texts.done}`,
    `${formatNumber(failed)} ${texts.failed}`,
    `${formatNumber(running)} ${texts.running}`,
    `${formatNumber(waiting)} ${texts.waitingLines}`,
  ].join(" · ");
}

function speeds(progress: JobProgress, rates: Rates): string {
  const cached = percent(progress.cachedTokens, progress.promptTokens);
  return [
    texts.tokensIn({ speed: formatSpeed(rates.perSecond("prompt")), cached }),
    texts.tokensOut({ speed: formatSpeed(rates.perSecond("output")) }),
  ].join(" · ");
}

function gauges(devices: readonly ReportedDevice[]): string[] {
  return columns(
    devices.map(({ name, budgetBytes, plannedBytes, allocatedBytes }) => [
      placeName(name),
      texts.gauge({
        asked: formatBytes(budgetBytes),
        planned: formatBytes(plannedBytes),
        used: formatBytes(allocatedBytes),
      }),
    ]),
  );
}

function summary(end: JobEnd, rates: Rates, path: string, energy?: JobEnergy): string[] {
  const facts = {
    done: formatNumber(end.done),
    failed: formatNumber(end.failed),
    skipped: formatNumber(end.skipped),
    kept: formatNumber(end.kept),
    seconds: clock(rates.elapsedMs),
    path,
  };
  // Embeddings are read, and nothing is written.
  const tokens = end.outputTokens || end.promptTokens;
  const speed = formatSpeed((tokens * 1000) / Math.max(1, rates.elapsedMs));
  return [
    texts.finished(facts),
    texts.tokens({
      prompt: formatNumber(end.promptTokens),
      cached: percent(end.cachedTokens, end.promptTokens),
      output: formatNumber(end.outputTokens),
      speed,
    }),
    ...energyLines(energy, end),
    ...refusedLines(energy),
  ];
}

export function percent(part: number, whole: number): string {
  return new Intl.NumberFormat(locale, { style: "percent" }).format(whole === 0 ? 0 : part / whole);
}

/** `4 s`, `3:25`, `12:03:25`. */
export function clock(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
