import { JaugeError } from "../../errors.js";
import { type Origin, openBytes } from "../../gguf/byte-source.js";
import { localized } from "../../messages/locale.js";
import { sourceProblems } from "../../messages/source.js";
import type { WebAddress } from "./web-address.js";
import { type WebOptions, webRequest } from "./web-request.js";

const problems = localized(sourceProblems);
/** Lists of RoPE factors and quantised modules make the longest known ones a few hundred kB. */
const longestConfig = 16 * 1024 * 1024;

/** The JSON of a configuration. Errors: those of the origin, `source-config-invalid`. */
export async function readConfig(origin: Origin): Promise<unknown> {
  const file = await openBytes(origin);
  try {
    if (file.bytes > longestConfig) throw tooLong(file.path);
    const text = Buffer.alloc(file.bytes);
    for (let done = 0; done < text.length; ) {
      const read = await file.read(text.subarray(done), done);
      if (read === 0) break;
      done += read;
    }
    return parse(file.path, text);
  } finally {
    await file.close();
  }
}

/** As `readConfig`, from a server that may send whole files only. Errors: those of `webRequest` as well. */
export async function fetchConfig(address: WebAddress, options: WebOptions): Promise<unknown> {
  const text = await webRequest(address, {}, options, async (answer) => {
    const body = await answer.body(longestConfig);
    if (body.length > longestConfig) throw tooLong(address.path);
    return body;
  });
  options.onProgress?.({ bytes: text.length });
  return parse(address.path, text);
}

function parse(path: string, text: Buffer): unknown {
  try {
    return JSON.parse(text.toString("utf8").replace(/^\uFEFF/, ""));
  } catch (cause) {
    const facts = { path, field: "config.json", problem: problems.notJson() };
    throw new JaugeError("source-config-invalid", facts, { cause });
  }
}

function tooLong(path: string): JaugeError {
  const problem = problems.tooLong({ limitBytes: longestConfig });
  return new JaugeError("source-config-invalid", { path, field: "config.json", problem });
}
