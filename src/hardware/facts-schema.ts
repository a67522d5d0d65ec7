import * as z from "zod";
import { hardwareProblems } from "../messages/hardware.js";
import { localized } from "../messages/locale.js";
import type { HardwareFacts } from "./facts.js";

const problems = localized(hardwareProblems);
const bytes = z.int().nonnegative();
const rate = z.number().positive().finite();
const seconds = z.number().nonnegative().finite();

const matrixSpeed = z
  .strictObject({
    rows: z.array(z.int().positive()).min(1),
    bytesPerSecond: z.array(rate).min(1),
    rowSeconds: seconds.optional(),
  })
  .refine(({ rows, bytesPerSecond }) => rows.length === bytesPerSecond.length, {
    path: ["bytesPerSecond"],
    error: problems.oneForEachRow,
  })
  .refine(({ rows }) => rows.every((row, index) => index === 0 || row > rows[index - 1]!), {
    path: ["rows"],
    error: problems.growing,
  });
const matrix = z.record(z.string(), matrixSpeed);

const oneRowAttention = z
  .strictObject({
    headSizes: z.array(z.int().positive()).min(1),
    headSeconds: z.array(z.number().positive().finite()).min(1),
    cacheBytesPerSecond: z.array(rate).min(1),
  })
  .refine(({ headSizes, headSeconds }) => headSizes.length === headSeconds.length, {
    path: ["headSeconds"],
    error: problems.oneForEachSize,
  })
  .refine(({ headSizes, cacheBytesPerSecond }) => headSizes.length === cacheBytesPerSecond.length, {
    path: ["cacheBytesPerSecond"],
    error: problems.oneForEachSize,
  })
  .refine(({ headSizes }) => headSizes.every((size, index) => index === 0 || size > headSizes[index - 1]!), {
    path: ["headSizes"],
    error: problems.growing,
  });

const rowsSpeed = z.strictObject({ seconds, rowSeconds: seconds, elementSeconds: seconds });

const computeSpeed = z.strictObject({
  memoryBytesPerSecond: rate,
  nodeSeconds: seconds,
  multiplySeconds: seconds.optional(),
  passBytesPerSecond: rate.optional(),
  norm: rowsSpeed.optional(),
  rope: rowsSpeed.optional(),
  matrix: matrix.refine((types) => Object.keys(types).length > 0, problems.atLeastOneType),
  repacked: matrix.optional(),
  experts: matrix.optional(),
  repackedExperts: matrix.optional(),
  attention: z.strictObject({
    oneRowPerSecond: rate,
    batchPerSecond: rate,
    oneRow: oneRowAttention.optional(),
  }),
});

const copySpeed = z.strictObject({ pageableBytesPerSecond: rate, pinnedBytesPerSecond: rate });

const power = z.strictObject({ watts: rate, basis: z.enum(["measured", "limit"]) });

const host = z
  .strictObject({
    description: z.string(),
    totalBytes: bytes,
    availableBytes: bytes,
    runtimeBytes: bytes,
    threads: z.int().min(1).max(4096),
    speed: computeSpeed,
    diskBytesPerSecond: rate.optional(),
    power: power.optional(),
  })
  .refine(({ totalBytes, availableBytes }) => availableBytes <= totalBytes, {
    path: ["availableBytes"],
    error: problems.atMostTotal,
  });

const device = z
  .strictObject({
    name: z.string().min(1),
    description: z.string(),
    kind: z.enum(["gpu", "integrated-gpu", "accelerator"]),
    totalBytes: bytes,
    freeBytes: bytes,
    runtimeBytes: bytes,
    unified: z.boolean(),
    alignmentBytes: z
      .int()
      .positive()
      .refine((size) => Number.isInteger(Math.log2(size)), problems.powerOfTwo),
    speed: computeSpeed,
    link: z.strictObject({ toDevice: copySpeed, toHost: copySpeed, crossingSeconds: seconds }),
    power: power.optional(),
  })
  .refine(({ totalBytes, freeBytes }) => freeBytes <= totalBytes, {
    path: ["freeBytes"],
    error: problems.atMostTotal,
  });

/** A machine as a JSON file: `HardwareFacts`, and where its figures come from. */
export const hardwareFile = z.strictObject({
  name: z.string().min(1),
  origin: z.enum(["measured", "profile", "assumed"]).default("profile"),
  disturbed: z.number().min(0).max(1).optional(),
  host,
  devices: z
    .array(device)
    .refine(
      (devices) => new Set(devices.map(({ name }) => name)).size === devices.length,
      problems.differentNames,
    ),
  sources: z
    .array(z.strictObject({ figure: z.string(), note: z.string().optional(), url: z.string() }))
    .optional(),
});

// The schema and the type say the same.
type Parsed = Omit<z.output<typeof hardwareFile>, "sources">;
const _isFacts = (parsed: Parsed): HardwareFacts => parsed;
const _isParsed = (facts: HardwareFacts): Parsed => facts;
void _isFacts;
void _isParsed;
