import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { z } from "zod";
import { isJaugeError, JaugeError } from "../errors.js";
import { unreadable } from "../file-errors.js";
import { firstProblem, parseJson } from "../json.js";
import type { InputBeginning } from "./input/source.js";
import { writeFailed } from "./write-failed.js";

/** What the answers of a job depend on: plain data, kept beside its output. */
export interface JobSettings {
  /** The model's header: another model answers otherwise. */
  model: { name: string; fingerprint: string };
  /** Each setting by the name that a person knows it by. */
  options: Record<string, unknown>;
  input?: InputBeginning;
  /** Lines without a seed draw by it. */
  seed: number;
}

const version = 1;
const schema = z.object({
  version: z.literal(version),
  model: z.object({ name: z.string(), fingerprint: z.string() }),
  options: z.record(z.string(), z.unknown()),
  input: z.object({ bytes: z.int().min(0), sha256: z.string() }).optional(),
  seed: z.int().min(0),
});

/** Where the settings of the job that writes to `output` are. */
export function settingsPath(output: string): string {
  return `${output}.job.json`;
}

/**
 * The settings that the output's job was begun with; undefined where there are none.
 * Errors: `batch-settings-invalid`, `file-unreadable`.
 */
export async function readSettings(output: string): Promise<JobSettings | undefined> {
  const path = settingsPath(output);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unreadable(path, cause);
  }
  const { version: _, input, ...settings } = parse(path, text);
  return { ...settings, ...(input && { input }) };
}

function parse(path: string, text: string): z.infer<typeof schema> {
  const invalid = (problem: string) => new JaugeError("batch-settings-invalid", { path, problem });
  let json: unknown;
  try {
    json = parseJson(path, text);
  } catch (error) {
    throw isJaugeError(error, "json-invalid") ? invalid(error.facts.problem) : error;
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { field, problem } = firstProblem(json, parsed.error);
  throw invalid(`${field}: ${problem}`);
}

/** Removes what a job that was killed left of an attempt to write them. */
export async function cleanSettings(output: string): Promise<void> {
  await rm(`${settingsPath(output)}.tmp`, { force: true });
}

/** Writes them, wholly or not at all. Errors: `batch-write-failed`. */
export async function writeSettings(output: string, settings: JobSettings): Promise<void> {
  const path = settingsPath(output);
  // The job's lock is held: no one else writes it, and what a killed job left of it is written anew.
  const temporary = `${path}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify({ version, ...settings }, undefined, 2)}\n`);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw writeFailed(path, cause);
  }
}

/** Where two settings differ, a line each: `temperature: 0.8 → 0`. */
export function differences(before: JobSettings, now: JobSettings): string[] {
  const lines: string[] = [];
  const shown = (value: unknown) => (value === undefined ? "–" : JSON.stringify(value));
  if (before.model.fingerprint !== now.model.fingerprint)
    lines.push(
      `  model: ${before.model.name} (${before.model.fingerprint.slice(0, 12)}) → ${now.model.name} (${now.model.fingerprint.slice(0, 12)})`,
    );
  for (const name of new Set([...Object.keys(before.options), ...Object.keys(now.options)])) {
    const [old, given] = [shown(before.options[name]), shown(now.options[name])];
    if (old !== given) lines.push(`  ${name}: ${old} → ${given}`);
  }
  if (before.input && now.input && before.input.sha256 !== now.input.sha256)
    lines.push(`  input: ${before.input.sha256.slice(0, 12)} → ${now.input.sha256.slice(0, 12)}`);
  return lines;
}
