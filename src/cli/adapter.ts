import { basename, resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { writeGgufAdapter } from "../convert/adapters/gguf-adapter.js";
import { expectReplaceable } from "../convert/replaceable.js";
import { JaugeError } from "../errors.js";
import { adapterCommandMessages } from "../messages/adapters.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import { formatBytes } from "../units.js";
import { writingOptions } from "./conversion-options.js";
import { examples } from "./examples.js";
import { addOptions, type CommandPart, type Values, value } from "./option-spec.js";
import { anyText, fileName } from "./option-values.js";
import { pick } from "./options.js";
import { print } from "./terminal.js";

const texts = localized(adapterCommandMessages);
const descriptions = localized(optionMessages);

// The names are those of convert_lora_to_gguf.py.
const adapterOptions = {
  base: value("--base <MODEL>", anyText),
  output: value("-o, --output <FILE>", fileName, ["--outfile"]),
  ...pick(writingOptions, "force"),
};

/** `jauge adapter ADAPTER_FOLDER --base MODEL -o OUT.gguf` */
export function adapterCommand(): CommandPart {
  const command = new Command("adapter").description(texts.description).argument("<folder>", texts.folder);
  addOptions(command, descriptions.headings.command, adapterOptions, texts.options);
  command.addHelpText(
    "after",
    examples(
      "jauge adapter alpaca-lora-7b/ --base llama-7b-hf/ -o alpaca.gguf",
      "jauge run llama-7b.gguf --lora alpaca.gguf",
    ),
  );
  command.action((folder, values) => adapter(folder, values as Values<typeof adapterOptions>));
  return { command, tables: [adapterOptions] };
}

/** Errors: `option-missing`; those of `expectReplaceable` and `writeGgufAdapter`. */
async function adapter(
  folder: string,
  { base, output, force }: Values<typeof adapterOptions>,
): Promise<void> {
  if (base === undefined) {
    throw new JaugeError("option-missing", { command: "jauge adapter", option: "--base" });
  }
  const path = output ?? `${basename(resolve(folder))}.gguf`;
  await expectReplaceable(path, { sources: [], overwrite: force });
  const { bytes, pairs, architecture } = await writeGgufAdapter(folder, base, path);
  await print(`${texts.done({ path, bytes: formatBytes(bytes), pairs, architecture })}\n`);
}
