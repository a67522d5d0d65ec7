import type { ComputeSpeed, LinkSpeed, MatrixSpeed, RowsSpeed } from "../hardware/facts.js";
import { doctorMessages } from "../messages/doctor.js";
import { locale, localized } from "../messages/locale.js";
import { rowsSeconds } from "../plan/speed.js";
import type { CalibrationRecord } from "../planner/calibration-cache.js";
import { formatBytes } from "../units.js";
import { columns, styled } from "./terminal.js";

const texts = localized(doctorMessages);

/** What was measured, for a person: each processor with its tables, then the disk. */
export function describeCalibration(
  { calibration }: CalibrationRecord,
  processor: string,
  threads: number,
): string[] {
  const { headings, fields } = texts;
  const disk = calibration.diskBytesPerSecond;
  const runtime = [fields.runtime, formatBytes(calibration.hostRuntimeBytes)];
  return [
    styled("bold", `${headings.host}: ${processor} × ${threads}`),
    ...describeProcessor(calibration.host, [runtime, ...loadRow(calibration.hostLoadWatts)]),
    ...Object.entries(calibration.devices).flatMap(([name, { speed, link, runtimeBytes, loadWatts }]) => [
      "",
      styled("bold", `${headings.device}: ${name}`),
      ...describeProcessor(speed, [
        ...linkRows(link),
        [fields.runtime, formatBytes(runtimeBytes)],
        ...loadRow(loadWatts),
      ]),
    ]),
    ...(disk === undefined
      ? []
      : ["", styled("bold", headings.disk), ...columns([[fields.disk, perSecond(disk)]]).map(indented)]),
  ];
}

function describeProcessor(speed: ComputeSpeed, more: string[][]): string[] {
  const { fields } = texts;
  const attention = {
    one: quantity(speed.attention.oneRowPerSecond),
    batch: quantity(speed.attention.batchPerSecond),
  };
  const rows = [
    [fields.memory, perSecond(speed.memoryBytesPerSecond)],
    [fields.attention, texts.attention(attention)],
    [fields.node, duration(speed.nodeSeconds)],
    ...(speed.multiplySeconds === undefined ? [] : [[fields.multiply, duration(speed.multiplySeconds)]]),
    ...(speed.passBytesPerSecond === undefined ? [] : [[fields.passes, perSecond(speed.passBytesPerSecond)]]),
    ...(speed.norm ? [[fields.norm, rowDuration(speed.norm, 2048)]] : []),
    ...(speed.rope ? [[fields.rope, rowDuration(speed.rope, 128)]] : []),
    ...more,
  ];
  return [
    ...columns(rows),
    "",
    ...table(texts.weights, speed.matrix, speed.repacked),
    ...(Object.keys(speed.experts ?? {}).length > 0
      ? ["", ...table(texts.experts, speed.experts!, speed.repackedExperts)]
      : []),
  ].map(indented);
}

/** Of one among many, which share what the operation takes beside them. */
function rowDuration(speed: RowsSpeed, elements: number): string {
  return duration(rowsSeconds({ ...speed, seconds: 0 }, 1, elements));
}

function loadRow(watts: number | undefined): string[][] {
  return watts === undefined ? [] : [[texts.fields.load, `${figure(watts)} W`]];
}

function linkRows({ toDevice, toHost, crossingSeconds }: LinkSpeed): string[][] {
  const { fields } = texts;
  const copies = (speed: LinkSpeed["toDevice"]) =>
    texts.copies({
      pinned: perSecond(speed.pinnedBytesPerSecond),
      pageable: perSecond(speed.pageableBytesPerSecond),
    });
  return [
    [fields.toDevice, copies(toDevice)],
    [fields.toHost, copies(toHost)],
    [fields.crossing, duration(crossingSeconds)],
  ];
}

/** One line for each type, its repacked form below it, and a column for each number of rows. */
function table(
  heading: string,
  plain: Record<string, MatrixSpeed>,
  repacked: Record<string, MatrixSpeed> = {},
): string[] {
  const points = [...new Set(Object.values(plain).flatMap(({ rows }) => rows))].sort((a, b) => a - b);
  const line = (name: string, speed: MatrixSpeed) => [
    name,
    ...points.map((rows) => {
      const at = speed.rows.indexOf(rows);
      return at < 0 ? "" : figure(speed.bytesPerSecond[at]! / 1e9);
    }),
  ];
  const lines = Object.entries(plain).flatMap(([type, speed]) => [
    line(type, speed),
    ...(repacked[type] ? [line(`  ${texts.repacked}`, repacked[type])] : []),
  ]);
  const right = points.map((_, index) => index + 1);
  const [head, ...rest] = columns([["", ...points.map(String)], ...lines], right);
  return [heading, styled("dim", head!), ...rest];
}

function perSecond(bytes: number): string {
  return `${formatBytes(bytes)}/s`;
}

/** 4.7 G, 320 M */
function quantity(count: number): string {
  return count >= 1e9 ? `${figure(count / 1e9)} G` : `${figure(count / 1e6)} M`;
}

function duration(seconds: number): string {
  return seconds < 1e-3 ? `${figure(seconds * 1e6)} µs` : `${figure(seconds * 1e3)} ms`;
}

/** Three digits that count. */
function figure(value: number): string {
  const digits = value > 0 ? Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(value)))) : 0;
  return value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function indented(line: string): string {
  return `  ${line}`.trimEnd();
}
