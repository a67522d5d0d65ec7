import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";

const { labels } = localized(cliMessages);

/** The examples at the end of a command's help. */
export function examples(...lines: string[]): string {
  return `\n${[labels.examples, ...lines.map((line) => `  ${line}`)].join("\n")}`;
}
