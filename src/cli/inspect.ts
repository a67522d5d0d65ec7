import { Command } from "@commander-js/extra-typings";
import { inspectMessages } from "../messages/inspect.js";
import { localized } from "../messages/locale.js";
import { describeModel } from "./inspect-text.js";
import { asJson, inspect } from "./inspection.js";

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
      const inspection = await inspect(path);
      if (options.json) process.stdout.write(`${JSON.stringify(asJson(inspection), undefined, 2)}\n`);
      else
        for (const line of describeModel(inspection, options.tensors ?? false))
          process.stdout.write(`${line}\n`);
    });
}
