import { Command } from "@commander-js/extra-typings";
import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import { examples } from "./examples.js";
import { offeredInput, readTextFile } from "./input.js";
import { openTokenizer } from "./open-model.js";
import { addOptions, type CommandPart, toggle, type Values, value } from "./option-spec.js";
import { anyText, invalid } from "./option-values.js";
import { modelOptions, type OutputValues, outputOptions, pick } from "./options.js";
import { modelAndText } from "./positionals.js";
import { columns, note, print } from "./terminal.js";

const { tokenize: texts, expected, run: runTexts } = localized(cliMessages);
const descriptions = localized(optionMessages);

// The names are those of llama-tokenize.
const tokenizeOptions = {
  prompt: value("-p, --prompt <TEXT>", anyText),
  file: value("-f, --file <FILE>", anyText),
  ids: toggle("--ids"),
  count: toggle("--count", ["--show-count"]),
  noBos: toggle("--no-bos"),
  noParseSpecial: toggle("--no-parse-special"),
  detokenize: toggle("--detokenize"),
};
const sharedOptions = pick(modelOptions, "model", "backend", "libDir");

type TokenizeValues = Values<typeof tokenizeOptions> &
  Values<typeof sharedOptions> &
  OutputValues & { bos?: boolean; parseSpecial?: boolean };

/** `jauge tokenize [MODEL] [TEXT]` */
export function tokenizeCommand(): CommandPart {
  const command = new Command("tokenize")
    .description(texts.description)
    .argument("[model]", runTexts.model)
    .argument("[text]", texts.text);
  addOptions(command, descriptions.headings.command, tokenizeOptions, {
    ...texts,
    prompt: texts.text,
  });
  addOptions(command, descriptions.headings.model, sharedOptions, descriptions.model);
  addOptions(command, descriptions.headings.output, outputOptions, descriptions.output);
  command.addHelpText(
    "after",
    examples(
      'jauge tokenize model.gguf "Once upon a time"',
      "jauge tokenize model.gguf --file letter.txt --count",
      'jauge tokenize model.gguf --detokenize "403 407 261"',
    ),
  );
  command.action((first, second, values) => tokenize(first, second, values as TokenizeValues));
  return { command, tables: [tokenizeOptions, sharedOptions, outputOptions] };
}

async function tokenize(
  first: string | undefined,
  second: string | undefined,
  values: TokenizeValues,
): Promise<void> {
  const { modelPath, text: argument } = modelAndText(first, second, values.model, "jauge tokenize");
  const text = argument ?? values.prompt ?? (await readText(values.file));
  const given = values.detokenize ? tokenIds(text) : undefined;
  const { backend, libDir: libraryDirectory } = values;
  await using model = await openTokenizer(
    modelPath,
    { ...(backend ? { backend } : {}), ...(libraryDirectory ? { libraryDirectory } : {}) },
    values,
  );

  if (given) {
    const words = await model.detokenize(Int32Array.from(given), { unparseSpecial: true });
    return await print(values.json ? `${JSON.stringify({ text: words })}\n` : `${words}\n`);
  }
  const addSpecial = values.bos !== false;
  const tokens = [
    ...(await model.tokenize(text, { addSpecial, parseSpecial: values.parseSpecial !== false })),
  ];
  if (values.count) await print(values.json ? `{"count":${tokens.length}}\n` : `${tokens.length}\n`);
  else if (values.ids) await print(`${values.json ? JSON.stringify(tokens) : tokens.join(" ")}\n`);
  else await printTable(tokens, await model.tokenTexts(tokens), values.json ?? false);
}

async function printTable(tokens: number[], pieces: string[], json: boolean): Promise<void> {
  if (json) {
    const rows = tokens.map((id, index) => ({ id, text: pieces[index]! }));
    return await print(`${JSON.stringify(rows)}\n`);
  }
  const rows = tokens.map((id, index) => [String(id), JSON.stringify(pieces[index]!)]);
  await print(
    columns(rows, [0])
      .map((line) => `${line}\n`)
      .join(""),
  );
}

async function readText(file: string | undefined): Promise<string> {
  const text =
    file === undefined ? await offeredInput(() => note(runTexts.waiting)) : await readTextFile(file);
  if (text === undefined) throw new JaugeError("text-missing", {});
  return text;
}

/** Token ids as `--ids` prints them, with or without `--json`. */
function tokenIds(text: string): number[] {
  const words = text.split(/[\s,[\]]+/).filter((word) => word !== "");
  if (words.length === 0 || !words.every((word) => /^\d{1,9}$/.test(word)))
    invalid("--detokenize", text, expected.tokenIds());
  return words.map(Number);
}
