import { open } from "node:fs/promises";
import { isJaugeError, JaugeError } from "../errors.js";
import { unreadable, unwritable } from "../file-errors.js";
import { firstProblem, parseJson } from "../json.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import { formatBytes } from "../units.js";
import { writeWhole } from "../whole-file.js";
import { checkPlan } from "./check.js";
import { totalBytes } from "./memory.js";
import type { ModelPlan } from "./model-plan.js";
import { modelPlanSchema } from "./saved-plan-schema.js";

const { saved: texts } = localized(planViewMessages);

/** Writes a plan, wholly or not at all. Errors: `file-unwritable`. */
export async function savePlan(path: string, plan: ModelPlan): Promise<void> {
  await writeWhole(path, `${JSON.stringify(plan, undefined, 2)}\n`).catch((cause: unknown) => {
    throw unwritable(path, cause);
  });
}

/**
 * Reads a saved plan and checks every field of it. Whether it still holds is `refuseChanged`'s to say.
 * Errors: `file-unreadable`, `json-invalid`, `plan-file-invalid` with the field.
 */
export async function readSavedPlan(path: string): Promise<ModelPlan> {
  const invalid = (field: string, problem: string) =>
    new JaugeError("plan-file-invalid", { path, field, problem });
  const text = await readLimited(path, () => invalid("JSON", texts.tooLarge(formatBytes(mostBytes))));
  return checkSavedPlan(parseJson(path, text), path);
}

/**
 * Checks every field of a saved plan; `path` is where it came from.
 * Errors: `plan-file-invalid` with the field.
 */
export function checkSavedPlan(json: unknown, path: string): ModelPlan {
  const invalid = (field: string, problem: string) =>
    new JaugeError("plan-file-invalid", { path, field, problem });
  const parsed = modelPlanSchema.safeParse(json);
  if (!parsed.success) {
    const { field, problem } = firstProblem(json, parsed.error);
    throw invalid(field, problem);
  }
  const { data } = parsed;
  try {
    checkPlan(data.engine);
  } catch (error) {
    if (!isJaugeError(error, "plan-invalid")) throw error;
    throw invalid(`engine.${error.facts.field}`, error.facts.problem);
  }
  return data;
}

/** Refuses a plan that does not agree with itself. Errors: `plan-file-invalid` with the field. */
export function refuseContradiction(plan: ModelPlan, path: string): void {
  const field = contradictionIn(plan);
  if (field) throw new JaugeError("plan-file-invalid", { path, field, problem: texts.contradiction });
  const { settings, engine } = plan;
  const differing = sharedSettings.find((name) => settings[name] !== engine[name]);
  if (differing === undefined) return;
  const problem = texts.otherThan({
    value: String(settings[differing]),
    field: `engine.${differing}`,
    other: String(engine[differing]),
  });
  throw new JaugeError("plan-file-invalid", { path, field: `settings.${differing}`, problem });
}

const sharedSettings = [
  ...(["contextLength", "sequences", "microBatch", "kvTypeK", "kvTypeV"] as const),
  ...(["flashAttention", "loadMode", "threads", "threadsBatch"] as const),
];

/** A field that does not go with the others: a plan that was changed by hand promises what no one has worked out. */
function contradictionIn({ fits, devices, host, model, placement, engine }: ModelPlan): string | undefined {
  if (!fits) return "fits";
  for (const { name, plannedBytes, budgetBytes, breakdown } of [...devices, host]) {
    const reads = engine.loadMode === "mmap" && name === host.name;
    if (plannedBytes !== totalBytes(breakdown)) return `${name}.plannedBytes`;
    if (plannedBytes > budgetBytes && !reads) return `${name}.budgetBytes`;
  }
  const places = new Set([...devices, host].map(({ name }) => name));
  const astray = placement.findIndex(({ on }) => !places.has(on));
  if (astray >= 0) return `placement.${astray}.on`;
  return placement.reduce((sum, { bytes }) => sum + bytes, 0) === model.bytes ? undefined : "placement";
}

/** What a saved plan is held against: the model, the libraries and the devices of the moment. */
export interface Circumstances {
  fingerprint: string;
  libraryVersion: string;
  devices: { name: string; description: string; totalBytes: number }[];
}

/**
 * Refuses a plan that was made for another model, another version of llama.cpp or other devices. A new device only
 * matters where the plan leaves the choice of devices to llama.cpp. Errors: `plan-changed`, with both values.
 */
export function refuseChanged(plan: ModelPlan, now: Circumstances): void {
  const refuse = (what: string, planned: string, found: string) => {
    if (planned !== found) throw new JaugeError("plan-changed", { what, planned, found });
  };
  refuse(texts.version, plan.libraryVersion, now.libraryVersion);
  refuse(texts.model, plan.model.fingerprint, now.fingerprint);
  const wanted = plan.engine.devices;
  for (const device of plan.devices) {
    if (wanted && !wanted.includes(device.name)) continue;
    const here = now.devices.find(({ name }) => name === device.name);
    refuse(texts.device(device.name), deviceText(device), here ? deviceText(here) : texts.none);
  }
  if (wanted) return;
  for (const device of now.devices) {
    const planned = plan.devices.some(({ name }) => name === device.name);
    if (!planned) refuse(texts.device(device.name), texts.none, deviceText(device));
  }
}

/** To the byte: two cards of one name may differ by little. */
function deviceText({ description, totalBytes }: { description: string; totalBytes: number }): string {
  return `${description}, ${totalBytes} B`;
}

/** A plan of a model with ten thousand tensors has about two megabytes. */
const mostBytes = 64_000_000;

async function readLimited(path: string, tooLarge: () => JaugeError): Promise<string> {
  try {
    const file = await open(path);
    try {
      if ((await file.stat()).size > mostBytes) throw tooLarge();
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof JaugeError) throw cause;
    throw unreadable(path, cause);
  }
}
