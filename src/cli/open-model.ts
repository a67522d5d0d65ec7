import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import { planTexts } from "../messages/plan-texts.js";
import { type LoadOptions, load, loadTokenizer, type Model } from "../model.js";
import { fileNameOf, webAddress } from "../planner/sources/web-address.js";
import type { SpaceTaken } from "../planner/watch.js";
import { formatBytes } from "../units.js";
import type { OutputValues } from "./options.js";
import { LoadProgress, note } from "./terminal.js";

const { run: texts } = localized(cliMessages);
const planNotes = localized(planTexts);

/**
 * Refuses what is not on this disk: weights are read from there. `isPromptless`: the command takes no text that may have
 * been taken for a path. Errors: `model-missing`, `model-is-folder`, `model-is-config`; `model-remote` for an address, which `jauge plan` takes.
 */
export function requireModel(path: string, { isPromptless }: { isPromptless?: boolean } = {}): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new JaugeError("model-is-folder", { path });
  if (found && basename(path) === "config.json")
    throw new JaugeError("model-is-config", { path, folder: dirname(path) });
  if (found) return;
  const address = webAddress(path);
  if (!address) throw new JaugeError("model-missing", { path, ...(isPromptless && { isPromptless }) });
  const isModel = /\.gguf$/i.test(fileNameOf(address));
  throw new JaugeError("model-remote", {
    path: address.path,
    ...(isModel && { url: withoutUser(address.url) }),
  });
}

/** What a shell may be given: no password, and all parts of a split model as curl's range. */
function withoutUser(address: URL): string {
  const url = new URL(address);
  url.username = "";
  url.password = "";
  return url.href.replaceAll("'", "%27").replace(/00001(?=-of-(\d{5})\.gguf)/i, "[00001-$1]");
}

/** Loads a model, showing how far it is. Errors: those of `requireModel` and of `load`. */
export async function openModel(
  path: string,
  options: LoadOptions,
  output: OutputValues = {},
): Promise<Model> {
  requireModel(path);
  const progress = new LoadProgress(texts.loading({ model: basename(path) }), modelBytes(path));
  try {
    return await load(path, {
      onSpaceTaken: (taken) => note(spaceTakenNote(taken, options.yieldMemory ?? false)),
      ...options,
      onProgress: (fraction) => progress.update(fraction),
      ...(output.verbose ? { onLog: note } : {}),
    });
  } finally {
    progress.done();
  }
}

function spaceTakenNote({ device, takenBytes, leftBytes }: SpaceTaken, yields: boolean): string {
  const facts = { device, taken: formatBytes(takenBytes), left: formatBytes(leftBytes) };
  return yields ? planNotes.yields(facts) : planNotes.spaceTaken(facts);
}

/** Loads a model's vocabulary. Errors: those of `requireModel` and of `loadTokenizer`. */
export async function openTokenizer(
  path: string,
  { backend, libraryDirectory }: LoadOptions,
  output: OutputValues,
): Promise<Awaited<ReturnType<typeof loadTokenizer>>> {
  requireModel(path);
  return loadTokenizer(path, {
    ...(backend && { backend }),
    ...(libraryDirectory && { libraryDirectory }),
    ...(output.verbose ? { onLog: note } : {}),
  });
}

/** Bytes of a model's file, or of all files of a split model (`name-00001-of-00003.gguf`). */
function modelBytes(path: string): number {
  const split = /^(.*)-\d{5}-of-(\d{5})\.gguf$/.exec(basename(path));
  if (!split) return statSync(path).size;
  const [, name, count] = split;
  return readdirSync(dirname(path))
    .filter((file) => file.startsWith(`${name}-`) && file.endsWith(`-of-${count}.gguf`))
    .reduce((sum, file) => sum + statSync(join(dirname(path), file)).size, 0);
}
