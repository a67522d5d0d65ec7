import * as z from "zod";
import { type ModelPlan, objectives, type PlannedDevice } from "./model-plan.js";
import { kvTypes, type Plan } from "./plan.js";

/** One schema for each field, so that a new field of a type does not compile until it is read here, too. */
type Shape<T> = { [Field in keyof Required<T>]: z.ZodType };

const bytes = z.int().nonnegative();
const count = z.int().nonnegative();
const speed = z.number().nonnegative();

const weights = {
  attention: bytes,
  feedForward: bytes,
  experts: bytes,
  output: bytes,
  embedding: bytes,
  other: bytes,
} satisfies Shape<PlannedDevice["weights"]>;

const device = {
  name: z.string(),
  kind: z.enum(["gpu", "integrated-gpu", "accelerator", "host"]),
  description: z.string(),
  totalBytes: bytes,
  freeBytes: bytes,
  budgetBytes: bytes,
  plannedBytes: bytes,
  breakdown: z.strictObject({ weights: bytes, kv: bytes, compute: bytes, runtime: bytes }),
  weights: z.strictObject(weights),
  rereadBytes: bytes.optional(),
  sharesRam: z.literal(true).optional(),
  power: z.strictObject({ watts: z.number().positive(), basis: z.enum(["measured", "limit"]) }).optional(),
} satisfies Shape<PlannedDevice>;

const flashAttention = z.enum(["auto", "on", "off"]);
const loadMode = z.enum(["auto", "mmap", "mlock", "direct", "read"]);

/** `checkPlan` holds the numbers to their ranges. */
const engine = {
  modelPath: z.string(),
  gpuLayers: z.int(),
  devices: z.array(z.string()).optional(),
  tensorSplit: z.array(z.number().nonnegative()).optional(),
  tensorOverrides: z.array(z.strictObject({ pattern: z.string(), placement: z.string() })),
  contextLength: z.int(),
  sequences: z.int(),
  microBatch: z.int(),
  kvLayout: z.enum(["separate", "unified"]),
  kvCells: z.int().optional(),
  kvTypeK: z.enum(kvTypes),
  kvTypeV: z.enum(kvTypes),
  kvOffload: z.boolean(),
  flashAttention,
  threads: z.int(),
  threadsBatch: z.int(),
  loadMode,
  hostMemory: z.enum(["pinned", "repacked", "mapped"]).optional(),
  streamWeights: z.boolean().optional(),
  adapters: z.array(z.strictObject({ path: z.string(), scale: z.number() })),
  embeddings: z
    .strictObject({ pooling: z.enum(["model", "none", "mean", "cls", "last", "rank"]) })
    .optional(),
  ropeFrequencyBase: z.number().optional(),
  ropeFrequencyScale: z.number().optional(),
  outputs: z.int().optional(),
} satisfies Shape<Plan>;

const model = {
  source: z.string(),
  name: z.string(),
  architecture: z.string(),
  parameters: count,
  bytes,
  layers: count,
  experts: count,
  expertsUsed: count,
  trainedContextLength: count,
  fileType: z.string(),
  fingerprint: z.string(),
} satisfies Shape<ModelPlan["model"]>;

const settings = {
  contextLength: count,
  sequences: count,
  microBatch: count,
  kvTypeK: z.string(),
  kvTypeV: z.string(),
  kvOn: z.array(z.string()),
  flashAttention,
  loadMode,
  threads: count,
  threadsBatch: count,
} satisfies Shape<ModelPlan["settings"]>;

const predicted = {
  prefillTokensPerSecond: speed,
  decodeTokensPerSecond: speed,
  timeToFirstTokenMs: speed,
  limitedBy: z.string(),
  explanation: z.string(),
  decodeSeconds: z.array(z.strictObject({ place: z.string(), seconds: speed, bytesRead: z.number() })),
} satisfies Shape<ModelPlan["predicted"]>;

const alternative = {
  kind: z.enum(["context", "kv-type", "quantisation", "memory", "disk", "load-mode", "micro-batch"]),
  text: z.string(),
  flags: z.string().optional(),
  bytesSaved: z.number().optional(),
} satisfies Shape<ModelPlan["alternatives"][number]>;

const shortfall = {
  device: z.string(),
  neededBytes: bytes,
  budgetBytes: bytes,
  missingBytes: bytes,
} satisfies Shape<ModelPlan["shortfalls"][number]>;

/** A saved plan, every field of it. What is not in it is refused. */
export const modelPlanSchema: z.ZodType<ModelPlan> = z.strictObject({
  model: z.strictObject(model),
  devices: z.array(z.strictObject(device)),
  host: z.strictObject(device),
  placement: z.array(z.strictObject({ tensor: z.string(), bytes, on: z.string() })),
  settings: z.strictObject(settings),
  predicted: z.strictObject(predicted),
  llamaCppFlags: z.string(),
  fits: z.boolean(),
  version: z.literal(1),
  objective: z.enum(objectives),
  hardware: z.strictObject({ name: z.string(), origin: z.enum(["measured", "profile", "assumed"]) }),
  exactness: z.enum(["measured", "formula"]),
  shortfalls: z.array(z.strictObject(shortfall)),
  alternatives: z.array(z.strictObject(alternative)),
  warnings: z.array(z.string()),
  notes: z.array(z.string()),
  engine: z.strictObject(engine),
  libraryVersion: z.string(),
} satisfies Shape<ModelPlan>);

/** The names of an engine plan's settings. */
export const planFields: readonly string[] = Object.keys(engine);
