import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { homedir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import { findLibraries, type LibraryWish, llamaVersion } from "../engine/native/libraries.js";
import type { Device } from "../engine/protocol.js";
import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import { cpuFacts } from "../hardware/cpu.js";
import { writeWhole } from "../whole-file.js";
import type { Calibration } from "./facts.js";

/** All that measured speeds depend on. Another value of any of them is another calibration. */
export interface CalibrationKey {
  cpu: string;
  cores: number;
  ramBytes: number;
  /** Name, description and memory of each device, in ggml's order. */
  devices: string[];
  libraryVersion: string;
  /** The backend's name, or the folder of libraries that were built elsewhere. */
  backend: string;
  threads: number;
  /** How it was measured: figures of another method mean something else. */
  method: number;
}

const currentMethod = 6;

/** What is known of a machine: the speeds, and what was asked for when they were measured. */
export interface CalibrationRecord {
  calibration: Calibration;
  /** Types that were tried; one that a processor cannot multiply by is in none of its tables. */
  types: TensorTypeName[];
  expertTypes: TensorTypeName[];
  /** When the first of it was measured, ISO 8601. */
  measuredAt: string;
}

/** The key of this machine with these libraries. Errors: those of `findLibraries`. */
export function calibrationKey(
  devices: readonly Device[],
  libraries: LibraryWish,
  threads: number,
): CalibrationKey {
  const found = findLibraries(libraries);
  const { description, physicalCores } = cpuFacts();
  return {
    cpu: description,
    cores: physicalCores,
    ramBytes: totalmem(),
    devices: devices
      .filter(({ kind }) => kind !== "cpu")
      .map((device) => `${device.name}: ${device.description}, ${device.totalBytes}`),
    libraryVersion: llamaVersion,
    backend: found.backend === "custom" ? found.directory : found.backend,
    threads,
    method: currentMethod,
  };
}

/** The speeds measured earlier for this key; undefined where there are none, or where their file is damaged. */
export async function cachedCalibration(key: CalibrationKey): Promise<Calibration | undefined> {
  return (await readRecord(key))?.calibration;
}

/** The record of this key; undefined where there is none, or where its file is damaged. */
export async function readRecord(key: CalibrationKey): Promise<CalibrationRecord | undefined> {
  try {
    const { key: stored, ...record } = file.parse(JSON.parse(await readFile(calibrationPath(key), "utf8")));
    return JSON.stringify(stored) === JSON.stringify(key) ? (record as CalibrationRecord) : undefined;
  } catch {
    // A file that cannot be read or is not what was written is measured anew.
    return undefined;
  }
}

/** Writes the record of this key, whole or not at all. Errors: those of the file system. */
export async function writeRecord(key: CalibrationKey, record: CalibrationRecord): Promise<void> {
  const path = calibrationPath(key);
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, `${JSON.stringify({ key, ...record }, undefined, 2)}\n`);
}

/** The file that holds the record of this key. */
export function calibrationPath(key: CalibrationKey): string {
  const hash = createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 16);
  return join(cacheDirectory(process.env), `calibration-${hash}.json`);
}

/** Where jauge keeps what it can make anew. JAUGE_CACHE_DIR names another folder. */
export function cacheDirectory(
  environment: NodeJS.ProcessEnv,
  platform: NodeJS.Platform = process.platform,
): string {
  if (environment.JAUGE_CACHE_DIR) return environment.JAUGE_CACHE_DIR;
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "jauge");
  if (platform === "win32")
    return join(environment.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"), "jauge");
  // The XDG specification: a relative path there is to be ignored.
  const xdg = environment.XDG_CACHE_HOME;
  return join(xdg?.startsWith("/") ? xdg : join(homedir(), ".cache"), "jauge");
}

const typeName = z.enum(Object.keys(tensorTypes) as TensorTypeName[]);
const bytes = z.number().nonnegative();
const rate = z.number().positive();
const matrix = z.record(
  z.string(),
  z
    .object({
      rows: z.array(rate).min(1),
      bytesPerSecond: z.array(rate).min(1),
      rowSeconds: bytes.optional(),
    })
    .refine(({ rows, bytesPerSecond }) => rows.length === bytesPerSecond.length)
    .refine(({ rows }) => rows.every((row, index) => index === 0 || row > rows[index - 1]!)),
);
const oneRow = z
  .object({
    headSizes: z.array(rate).min(1),
    headSeconds: z.array(rate),
    cacheBytesPerSecond: z.array(rate),
  })
  .refine(({ headSizes, headSeconds, cacheBytesPerSecond }) =>
    [headSeconds, cacheBytesPerSecond].every(({ length }) => length === headSizes.length),
  )
  .refine(({ headSizes }) => headSizes.every((size, index) => index === 0 || size > headSizes[index - 1]!));
const rows = z.object({ seconds: bytes, rowSeconds: bytes, elementSeconds: bytes });
const speed = z.object({
  memoryBytesPerSecond: rate,
  nodeSeconds: bytes,
  multiplySeconds: bytes,
  passBytesPerSecond: rate,
  norm: rows.optional(),
  rope: rows.optional(),
  matrix: matrix.refine((types) => Object.keys(types).length > 0),
  repacked: matrix.optional(),
  experts: matrix.optional(),
  repackedExperts: matrix.optional(),
  attention: z.object({ oneRowPerSecond: rate, batchPerSecond: rate, oneRow: oneRow.optional() }),
});
const copies = z.object({ pageableBytesPerSecond: rate, pinnedBytesPerSecond: rate });
const file = z.object({
  key: z.object({
    cpu: z.string(),
    cores: z.number(),
    ramBytes: z.number(),
    devices: z.array(z.string()),
    libraryVersion: z.string(),
    backend: z.string(),
    threads: z.number(),
    method: z.number(),
  }),
  calibration: z.object({
    disturbed: rate.optional(),
    host: speed,
    devices: z.record(
      z.string(),
      z.object({
        speed,
        link: z.object({ toDevice: copies, toHost: copies, crossingSeconds: bytes }),
        runtimeBytes: bytes,
        loadWatts: rate.optional(),
      }),
    ),
    hostRuntimeBytes: bytes,
    hostLoadWatts: rate.optional(),
    diskBytesPerSecond: rate.optional(),
  }),
  types: z.array(typeName),
  expertTypes: z.array(typeName),
  measuredAt: z.string(),
});
