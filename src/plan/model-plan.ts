import type { PowerFacts } from "../hardware/facts.js";
import type { Plan } from "./plan.js";

/** What a person wants most of a plan. */
export const objectives = ["chat", "batch", "context"] as const;
export type Objective = (typeof objectives)[number];

/**
 * A plan with its reasons: what `jauge plan --json` prints and `--save` keeps. The fields up to `fits` are a public
 * contract; sizes are bytes.
 */
export interface ModelPlan {
  model: PlannedModel;
  /** Devices in ggml's order, also those that are left empty. */
  devices: PlannedDevice[];
  host: PlannedDevice;
  /** Every tensor, in file order. */
  placement: PlacedTensor[];
  settings: PlannedSettings;
  predicted: Prediction;
  /** The plan as options of llama.cpp's tools. */
  llamaCppFlags: string;
  /** Whether everything fits the budgets; where not, `shortfalls` and `alternatives` say what would help. */
  fits: boolean;

  /** Of the file format of saved plans. */
  version: 1;
  objective: Objective;
  /** The machine it was made for, and where the facts about it come from. */
  hardware: { name: string; origin: "measured" | "profile" | "assumed" };
  /** Exact figures from the engine's own dry run, or closed formulas where the device is not in this machine. */
  exactness: "measured" | "formula";
  shortfalls: Shortfall[];
  alternatives: Alternative[];
  /** What the person would want to know before the run: budgets that were lowered, wishes that did not fit. */
  warnings: string[];
  /** Why the settings are what they are where that is no default: one line each, for people. */
  notes: string[];
  /** What the engine carries out; `modelPath` is empty where the model is not on this disk. */
  engine: Plan;
  /** llama.cpp's version that the figures hold for. */
  libraryVersion: string;
}

export interface PlannedModel {
  /** Path, URL or name. */
  source: string;
  name: string;
  architecture: string;
  parameters: number;
  /** All weights. */
  bytes: number;
  layers: number;
  experts: number;
  expertsUsed: number;
  trainedContextLength: number;
  /** The quantisation mix, as `Q4_K_M`. */
  fileType: string;
  /** Of the header: a saved plan is refused for another one. */
  fingerprint: string;
}

/** Bytes of RAM that a plan takes: the host's, and those of devices that share it. */
export function ramBytes({ host, devices }: Pick<ModelPlan, "host" | "devices">): number {
  return devices.reduce(
    (sum, { sharesRam, plannedBytes }) => sum + (sharesRam ? plannedBytes : 0),
    host.plannedBytes,
  );
}

/** Whether a plan that fits has more weights in RAM than its budget holds: they are read from the disk again and again. */
export function rereadsWeights(plan: Pick<ModelPlan, "host" | "devices">): boolean {
  return ramBytes(plan) > plan.host.budgetBytes;
}

export interface PlannedDevice {
  /** ggml's name, or `host`. */
  name: string;
  kind: "gpu" | "integrated-gpu" | "accelerator" | "host";
  description: string;
  totalBytes: number;
  /** Free (or really available) when the plan was made. */
  freeBytes: number;
  /** What the person allowed, clamped to what is free. */
  budgetBytes: number;
  plannedBytes: number;
  breakdown: { weights: number; kv: number; compute: number; runtime: number };
  /** Weights again, by kind. They add up to `breakdown.weights`. */
  weights: WeightKinds;
  /** Of the host's weights, those that RAM has no room for: read from the disk again and again, and not held. */
  rereadBytes?: number;
  /** Its memory is RAM: what it takes counts in the host's budget, too. */
  sharesRam?: true;
  /** What it draws while it computes, where that is known. */
  power?: PowerFacts;
}

export interface WeightKinds {
  attention: number;
  feedForward: number;
  experts: number;
  output: number;
  embedding: number;
  other: number;
}

export interface PlacedTensor {
  tensor: string;
  bytes: number;
  /** A device's name, or `host`. */
  on: string;
}

export interface PlannedSettings {
  contextLength: number;
  sequences: number;
  microBatch: number;
  kvTypeK: string;
  kvTypeV: string;
  /** Layers whose KV cache is on each device or `host`; device names by layer. */
  kvOn: string[];
  flashAttention: "auto" | "on" | "off";
  loadMode: "auto" | "mmap" | "mlock" | "direct" | "read";
  threads: number;
  threadsBatch: number;
}

export interface Prediction {
  /** Of one micro-batch after another, all sequences together. */
  prefillTokensPerSecond: number;
  /** All sequences together. */
  decodeTokensPerSecond: number;
  /** For a prompt of 512 tokens. */
  timeToFirstTokenMs: number;
  /** `host-memory`, `host-compute`, `Vulkan0-memory`, `Vulkan0-compute`, `crossings` or `disk`: where most of a decoded token's time goes. */
  limitedBy: string;
  /** One sentence for people: "RAM bandwidth: 38.2 GB read per token at 61 GB/s". */
  explanation: string;
  /** Seconds of one decoded token by place; they add up to the whole. */
  decodeSeconds: { place: string; seconds: number; bytesRead: number }[];
}

/** What is missing on one device, or in RAM (`host`). */
export interface Shortfall {
  device: string;
  neededBytes: number;
  budgetBytes: number;
  missingBytes: number;
}

/** A way that would fit, and its price. */
export interface Alternative {
  kind: "context" | "kv-type" | "quantisation" | "memory" | "disk" | "load-mode" | "micro-batch";
  /** One line for people, with the flag or the size. */
  text: string;
  /** Options to add, where it is a matter of options. */
  flags?: string;
  bytesSaved?: number;
}
