import { existsSync } from "node:fs";
import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import { defaultModelPath } from "../model.js";

const { usage } = localized(cliMessages);

/**
 * `[MODEL] [TEXT]` of a command. One argument is a model where it looks like a file, else a text for the embedded
 * model; after --model it is always a text. `isEmbedded` says that no model is named. Errors: `usage-wrong` where there are too many.
 */
export function modelAndText(
  first: string | undefined,
  second: string | undefined,
  model: string | undefined,
  command: string,
): { modelPath: string; isEmbedded?: true; text?: string } {
  if (model !== undefined) {
    if (second !== undefined)
      throw new JaugeError("usage-wrong", { problem: usage.tooManyArguments(), command });
    return { modelPath: model, text: first };
  }
  const embedded = { modelPath: defaultModelPath, isEmbedded: true } as const;
  if (first === undefined) return embedded;
  if (second !== undefined || looksLikeModel(first)) return { modelPath: first, text: second };
  return { ...embedded, text: first };
}

function looksLikeModel(text: string): boolean {
  if (/\.gguf$/i.test(text)) return true;
  return (/[\\/]/.test(text) && !/\s/.test(text)) || existsSync(text);
}
