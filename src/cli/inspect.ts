import { basename, dirname } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { isJaugeError, JaugeError } from "../errors.js";
import { unrecognised } from "../gguf/other-formats.js";
import { inspectMessages } from "../messages/inspect.js";
import { localized } from "../messages/locale.js";
import { describeModel } from "./inspect-text.js";
import { asJson, inspect, sourceAsJson } from "./inspection.js";
import { inspectSource, isOtherSource } from "./source-inspection.js";
import { describeSource } from "./source-text.js";

const texts = localized(inspectMessages);

/** `jauge inspect MODEL`: reads headers only, so it takes no longer for a large model than for a small one. */
export function inspectCommand(): Command<[string], { json?: true; tensors?: true }> {
  return new Command("inspect")
    .description(texts.description)
    .argument("<model>", texts.model)
    .option("--json", texts.json)
    .option("--tensors", texts.tensors)
    .addHelpText("after", texts.examples)
    .action(async (path, options) => {
      const { json, lines } = await look(path, options.tensors ?? false);
      if (options.json) process.stdout.write(`${JSON.stringify(json, undefined, 2)}\n`);
      else for (const line of lines) process.stdout.write(`${line}\n`);
    });
}

/** A GGUF, or whatever else holds weights. */
async function look(path: string, listTensors: boolean): Promise<{ json: object; lines: Iterable<string> }> {
  try {
    const inspection = await inspect(path);
    return { json: asJson(inspection), lines: describeModel(inspection, listTensors) };
  } catch (error) {
    if (!isOtherSource(error)) throw error;
    const inspection = await inspectSource(path).catch((other) => {
      if (isJaugeError(other, "checkpoint-unrecognised") && isConfiguration(path))
        throw new JaugeError("source-is-configuration", { path, folder: dirname(path) }, { cause: other });
      // a file that nobody knows is best described by what it looks like
      throw isJaugeError(other, "checkpoint-unrecognised") && isJaugeError(error, "not-a-gguf")
        ? unrecognised(error)
        : other;
    });
    return { json: sourceAsJson(inspection), lines: describeSource(inspection, listTensors) };
  }
}

/** Whether a file of this name says what a model is, beside its weights. */
function isConfiguration(path: string): boolean {
  return ["config.json", "params.json", "adapter_config.json"].includes(basename(path));
}
