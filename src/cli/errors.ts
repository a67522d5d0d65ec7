import type { CommanderError } from "@commander-js/extra-typings";
import { type ErrorCode, isJaugeError, JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import { styled } from "./terminal.js";

const { labels, unexpected, usage } = localized(cliMessages);

/** What the process's status says. The help lists them. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  file: 3,
  memory: 4,
  crash: 5,
  interrupted: 130,
} as const;

type Category = keyof typeof exitCodes;

/** What begins the codes of each category; the first that matches decides, all others are failures. */
const categories: [Category, RegExp][] = (
  [
    [
      "interrupted",
      "cancelled conversion-interrupted importance-interrupted compare-interrupted target-interrupted",
    ],
    ["crash", "host-crashed decode-failed conversion-crashed"],
    ["memory", "out-of-memory context-failed embeddings-beyond-budget plan-does-not-fit plan-exceeded"],
    ["usage", "batch-template- batch-columns- batch-table- batch-settings- batch-options-"],
    ["usage", "delta-new-rows requantise- source-mix- tensor- tokenizer-pre-unknown"],
    [
      "file",
      "adapter- batch-locked batch-output- batch-write- checkpoint- compare-disk-full conversion- delta- disk-",
    ],
    ["file", "file- gguf- hardware-file- importance-file importance-size legacy- model- not-a-gguf output-"],
    ["file", "plan-file- quantised- source- split- state- tokenizer- weights-"],
    [
      "usage",
      "backend-unknown budget- command- compare-vocabulary conversation- device- embeddings- grammar-",
    ],
    ["usage", "importance- input- json- option plan- profile- prompt- request- sampling- setting- template-"],
    ["usage", "target- text- token- usage-"],
  ] as const
).map(([category, beginnings]) => [category, new RegExp(`^(${beginnings.replaceAll(" ", "|")})`)]);

/** The status the process ends with after `error`. */
export function exitCodeOf(error: unknown): number {
  if (!isJaugeError(error)) return exitCodes.failure;
  const found = categories.find(([, pattern]) => pattern.test(error.code satisfies ErrorCode));
  return exitCodes[found?.[0] ?? "failure"];
}

/** Tells the person, or with `json` the program, what went wrong. */
export function reportError(error: unknown, options: { json: boolean; verbose: boolean }): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ error: asJson(error) })}\n`);
    if (options.verbose) printStack(error);
    return;
  }
  const what = error instanceof Error ? error.message : String(error);
  const fix = isJaugeError(error) ? error.fix : unexpected.fix;
  process.stderr.write(`${styled("red", labels.error, process.stderr)} ${what}\n`);
  if (fix) process.stderr.write(`${styled("cyan", labels.fix, process.stderr)} ${fix}\n`);
  if (options.verbose) printStack(error);
}

function asJson(error: unknown): { code: string; message: string; fix: string; facts: unknown } {
  if (isJaugeError(error)) return error.toJSON();
  const message = error instanceof Error ? error.message : String(error);
  return { code: "unexpected", message, fix: unexpected.fix, facts: {} };
}

function printStack(error: unknown): void {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    process.stderr.write(`${cause.stack ?? cause.message}\n`);
  }
}

/** What commander found wrong with a command line, as an error of ours. */
export function usageError(error: CommanderError, command: string): JaugeError {
  return new JaugeError("usage-wrong", { problem: usageProblem(error), command });
}

function usageProblem(error: CommanderError): string {
  const [line = "", suggestion = ""] = error.message.replace(/^error: /, "").split("\n");
  const name = /'([^']*)'/.exec(line)?.[1] ?? "";
  const similar = /mean (?:one of )?(.*)\?\)/.exec(suggestion)?.[1] ?? "";
  switch (error.code) {
    case "commander.unknownOption":
      return usage.unknownOption({ name, similar });
    case "commander.optionMissingArgument":
      return usage.optionNeedsValue({ name });
    case "commander.missingArgument":
      return usage.missingArgument({ name: name.toUpperCase() });
    case "commander.excessArguments":
      return usage.tooManyArguments();
    default:
      return line;
  }
}
