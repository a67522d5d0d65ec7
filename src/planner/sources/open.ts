import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { JaugeError } from "../../errors.js";
import { type Origin, openBytes } from "../../gguf/byte-source.js";
import { type ModelFile, readModel } from "../../gguf/model-file.js";
import { validateHeader, validateModel } from "../../gguf/validate.js";
import { localized } from "../../messages/locale.js";
import { sourceProblems } from "../../messages/source.js";
import { type MixName, mixNamed, mixNames } from "../../quantize/mixes.js";
import { fetchConfig, readConfig } from "./config-file.js";
import { sourceFromConfig } from "./from-config.js";
import { HeaderSource } from "./header-source.js";
import { remoteOrigin } from "./remote-file.js";
import { requantised } from "./requantised.js";
import { besideOf, fileNameOf, type WebAddress, webAddress } from "./web-address.js";
import type { WebOptions } from "./web-request.js";

const problems = localized(sourceProblems);

export interface SourceOptions extends WebOptions {
  /**
   * The quantisation mix to plan for, as `Q4_K_M`. An unconverted model is `Q4_K_M` (or what it is published in) where
   * absent; a GGUF is what it is, and with a mix what `requantised` makes of it, which has no path.
   */
  mix?: string;
}

/**
 * What a name stands for, by its shape and by the first bytes of what it names:
 * - a GGUF file, any part of a split one, or a folder that holds one model;
 * - the `http(s)://` address of a GGUF, or `hf:owner/repository[@revision]/file.gguf`: only headers are fetched;
 * - a config.json of an unconverted model, its folder, its address, or `hf:owner/repository`.
 *
 * A local GGUF is checked in full, as before a load; one on the web without its vocabulary.
 *
 * Errors: those of `readModel` and `validateModel`, `source-…`, `cancelled`.
 */
export async function openSource(name: string, options: SourceOptions = {}): Promise<HeaderSource> {
  const mix = options.mix === undefined ? undefined : mixOf(options.mix);
  const address = webAddress(name);
  if (address) return openWeb(name, address, withTotal(options), mix);
  if (/^(hf:|\w+:\/\/)/.test(name))
    throw new JaugeError("source-unrecognised", { path: name, expected: "http(s)://…, hf:…" });
  return openLocal(name, name, mix);
}

/** A GGUF on this disk, checked in full: what can be loaded. Errors: those of `readModel` and `validateModel`. */
export async function openModelFile(path: string): Promise<HeaderSource> {
  const model = await readModel(path);
  await validateModel(model);
  return sourceOf(path, model, model.path);
}

async function openLocal(name: string, path: string, mix: MixName | undefined): Promise<HeaderSource> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return openLocal(name, join(path, await modelIn(path)), mix);
  if (/\.json$/i.test(path) || (await isJson(path))) return fromConfig(name, await readConfig(path), mix);
  const source = await openModelFile(path);
  return inMix(source, mix);
}

async function openWeb(
  name: string,
  address: WebAddress,
  options: WebOptions,
  mix: MixName | undefined,
): Promise<HeaderSource> {
  if (address.url.pathname.endsWith(".json"))
    return fromConfig(name, await fetchConfig(address, options), mix);
  const origin = remoteOrigin(address, options);
  if (await isJson(origin)) return fromConfig(name, await readConfig(origin), mix);
  const beside = (fileName: string) => remoteOrigin(besideOf(address, fileName), options);
  const model = await readModel({ fileName: fileNameOf(address), origin, beside });
  validateHeader(model);
  return inMix(sourceOf(name, model), mix);
}

function sourceOf(source: string, model: ModelFile, path?: string): HeaderSource {
  const { metadata, tensors, shards } = model;
  const { alignment } = shards[0]!;
  return new HeaderSource({ source, ...(path === undefined ? {} : { path }), metadata, tensors, alignment });
}

function inMix(source: HeaderSource, mix: MixName | undefined): HeaderSource {
  return mix === undefined ? source : requantised(source, mix);
}

function fromConfig(name: string, config: unknown, mix: MixName | undefined): HeaderSource {
  return sourceFromConfig(config, { name, ...(mix === undefined ? {} : { mix }) });
}

/** Whether the first character is that of a JSON object. */
async function isJson(origin: Origin): Promise<boolean> {
  const file = await openBytes(origin);
  try {
    const head = Buffer.alloc(64);
    const read = await file.read(head, 0);
    return /^\uFEFF?\s*\{/.test(head.toString("utf8", 0, read));
  } finally {
    await file.close();
  }
}

/** A folder's only model (the first part of it), or its configuration. Errors: `source-config-invalid`. */
async function modelIn(folder: string): Promise<string> {
  const files = (await readdir(folder)).sort();
  const models = files.filter(
    (file) => file.endsWith(".gguf") && !/^mmproj|-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(file),
  );
  if (models.length === 1) return models[0]!;
  if (models.length === 0 && files.includes("config.json")) return "config.json";
  const problem =
    models.length === 0 ? problems.empty() : problems.several({ files: models.slice(0, 8).join(", ") });
  throw new JaugeError("source-config-invalid", { path: folder, field: "*.gguf", problem });
}

/** Progress over all parts together. */
function withTotal(options: SourceOptions): WebOptions {
  const { onProgress } = options;
  if (!onProgress) return options;
  let total = 0;
  return {
    ...options,
    onProgress: ({ bytes }) => {
      total += bytes;
      onProgress({ bytes: total });
    },
  };
}

/** The mix of this name, in any case. Errors: `source-mix-unknown`. */
export function mixOf(name: string): MixName {
  const mix = mixNamed(name);
  if (!mix) throw new JaugeError("source-mix-unknown", { mix: name, known: [...mixNames] });
  return mix;
}
