#!/usr/bin/env node
import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import { translateArguments } from "./arguments.js";
import { exitCodeOf, exitCodes, reportError, usageError } from "./errors.js";
import { type CommandPart, spellingsOf } from "./option-spec.js";
import { note } from "./terminal.js";
import { jaugeVersion } from "./version.js";

/** Only the module of the command that is run is loaded: starting is part of the time to the first token. */
const commands: Record<string, () => Promise<CommandPart>> = {
  run: async () => (await import("./run.js")).runCommand(),
  batch: async () => (await import("./batch.js")).batchCommand(),
  tokenize: async () => (await import("./tokenize.js")).tokenizeCommand(),
  embed: async () => (await import("./embed.js")).embedCommand(),
  inspect: async () => ({ command: (await import("./inspect.js")).inspectCommand(), tables: [] }),
  doctor: async () => (await import("./doctor.js")).doctorCommand(),
  bench: async () => (await import("./bench.js")).benchCommand(),
  plan: async () => (await import("./plan.js")).planCommand(),
  imatrix: async () => (await import("./imatrix.js")).imatrixCommand(),
  target: async () => (await import("./target.js")).targetCommand(),
  compare: async () => (await import("./compare.js")).compareCommand(),
  convert: async () => (await import("./convert.js")).convertCommand(),
  quantize: async () => (await import("./quantize.js")).quantizeCommand(),
  split: async () => (await import("./split.js")).splitCommand(),
  merge: async () => (await import("./split.js")).mergeCommand(),
  adapter: async () => (await import("./adapter.js")).adapterCommand(),
  devices: async () => (await import("./devices.js")).devicesCommand(),
};

const { labels, program: texts, exitCodes: exitCodeTexts, unexpected } = localized(cliMessages);

/** Commander's headings in the person's language. */
const titles: Record<string, string> = {
  "Usage:": labels.usage,
  "Options:": labels.options,
  "Arguments:": labels.arguments,
  "Commands:": labels.commands,
};

/** What these make is a file: who reads along may leave. */
const fileMakers = ["batch", "imatrix", "target", "convert", "quantize", "split", "merge", "adapter"];
// A reader that has seen enough (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  if (!fileMakers.includes(process.argv[2] ?? "")) process.exit(exitCodes.ok);
});
process.on("uncaughtException", (error) => process.exit(fail(error, process.argv.slice(2), "jauge")));
await main(process.argv.slice(2));

async function main(given: readonly string[]): Promise<void> {
  let rest: readonly string[] = given;
  let about = "jauge";
  try {
    const { name, others } = whichCommand(given);
    rest = others;
    if (name) about = `jauge ${name}`;
    const loaded = await Promise.all((name ? [name] : Object.keys(commands)).map((key) => commands[key]!()));
    const program = createProgram(loaded.map((part) => part.command));
    if (!name) {
      await program.parseAsync([...rest], { from: "user" });
      return;
    }
    const { tables } = loaded[0]!;
    if (tables.length > 0) {
      const translated = translateArguments(rest, spellingsOf(tables));
      rest = translated.arguments;
      const options = translated.ignored.join(", ");
      if (options) note(`${labels.warning} ${unexpected.ignored({ options })}`);
    }
    await program.parseAsync([name, ...rest], { from: "user" });
  } catch (error) {
    process.exitCode = fail(error, rest, about);
  }
}

/** The command that is meant: the first argument names it, else it is `run`; undefined asks for the program's help. */
function whichCommand(given: readonly string[]): { name?: string; others: readonly string[] } {
  const [first, ...others] = given;
  if (first === undefined) return { name: "run", others };
  if (first === "help") {
    const [about] = others;
    return about !== undefined && Object.hasOwn(commands, about)
      ? { name: about, others: ["--help"] }
      : { others: ["--help"] };
  }
  if (Object.hasOwn(commands, first)) return { name: first, others };
  if (/^(-h|--help|--version)$/.test(first)) return { others: given };
  // One bare word is more likely a mistyped command than a prompt or a model.
  if (/^[a-z][\w-]*$/i.test(first)) {
    throw new JaugeError("command-unknown", { command: first, known: Object.keys(commands).join(", ") });
  }
  return { name: "run", others: given };
}

function createProgram(parts: readonly CommandUnknownOpts[]): Command {
  const program = new Command("jauge")
    .description(texts.description)
    .version(jaugeVersion(), "--version", texts.version)
    .helpOption("-h, --help", texts.help)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .configureHelp({ styleTitle: (title) => titles[title] ?? title, showGlobalOptions: false })
    .addHelpText("after", programHelp());
  for (const command of parts) program.addCommand(command.copyInheritedSettings(program));
  return program;
}

function programHelp(): string {
  const examples = [
    "jauge",
    'jauge run model.gguf "Why is the sky blue?"',
    "jauge run model.gguf -ngl 20 -c 8192",
    "jauge batch prompts.jsonl -m model.gguf -o answers.jsonl",
    "jauge inspect model.gguf",
    "jauge bench model.gguf",
    "jauge run --help",
  ];
  const lines = [texts.defaultCommand, "", labels.examples, ...examples.map((example) => `  ${example}`)];
  return `\n${[...lines, "", labels.exitCodes, ...exitCodeTexts.map((text) => `  ${text}`)].join("\n")}`;
}

/** Reports an error of the command `about`, and says what status to end with. */
function fail(error: unknown, given: readonly string[], about: string): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok; // help and version
  const end = given.indexOf("--");
  const options = end < 0 ? given : given.slice(0, end);
  const shown = error instanceof CommanderError ? usageError(error, about) : error;
  reportError(shown, {
    json: options.includes("--json"),
    verbose: options.includes("--verbose") || options.includes("-v"),
  });
  return exitCodeOf(shown);
}
