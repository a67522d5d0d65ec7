import { JaugeError } from "../errors.js";
import { localized } from "../messages/locale.js";
import { samplingProblems } from "../messages/sampling-problems.js";

const problems = localized(samplingProblems);

/** What stands for itself in GBNF (a text, a class of characters), and comments. */
const literals = /"(?:\\.|[^"\\])*"?|\[(?:\\.|[^\]\\])*\]?|#[^\n]*/gs;

/**
 * Refuses a repetition of at most fewer times than at least, `{5,2}`: llama.cpp's parser takes the difference as an unsigned
 * number, and fills the memory (`handle_repetitions`, llama-grammar.cpp v0.5.0). Errors: `grammar-invalid`.
 */
export function checkGrammar(text: string): void {
  const rules = text.replace(literals, (literal) => (literal.startsWith("#") ? "" : '""'));
  for (const [, least, most] of rules.matchAll(/\{\s*(\d+)\s*,\s*(\d+)/g))
    if (BigInt(most!) < BigInt(least!))
      throw new JaugeError("grammar-invalid", { log: problems.repetition({ least: least!, most: most! }) });
}
