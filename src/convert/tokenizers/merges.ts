import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { asList, asString, field, isRecord, type JsonRecord } from "./json.js";

/** More than any tokenizer has: Llama 4 has 440,000. */
const mostMerges = 2 ** 23;

/**
 * The merges of a BPE tokenizer, in order, as `left right`: from its tokenizer.json, else from merges.txt. A space
 * inside a part is written as U+0120, as byte-level vocabularies do.
 * Source: `SpecialVocab` of gguf-py.
 */
export async function readMerges(
  folder: TokenizerFolder,
  document: JsonRecord | undefined,
  path: string,
): Promise<string[]> {
  const listed = field(document?.model, "merges");
  if (listed !== undefined) {
    const merges = normaliseMerges(listed, path);
    if (merges.length > 0) return merges;
  }
  return (await folder.has("merges.txt")) ? parseMergesText(await folder.text("merges.txt")) : [];
}

/** Merges as tokenizer.json lists them: texts, or pairs since version 4.45 of `transformers`. */
export function normaliseMerges(value: unknown, path: string): string[] {
  const refuse = (name: string) => (problem: string) => malformed(path, name, problem);
  const list = asList(value, refuse("model.merges"));
  if (list.length > mostMerges) throw refuse("model.merges")(problems.tooMany({ limit: mostMerges }));
  return list.map((merge, index) => {
    const name = `model.merges[${index}]`;
    if (typeof merge === "string") {
      if (!/^[^ ]+ [^ ]+$/.test(merge)) throw refuse(name)(problems.notA({ expected: "pair" }));
      return merge;
    }
    const pair = asList(merge, refuse(name));
    if (pair.length !== 2) throw refuse(name)(problems.notA({ expected: "pair" }));
    return pair.map((part) => asString(part, refuse(name)).replaceAll(" ", "\u0120")).join(" ");
  });
}

/** The lines of merges.txt behind its `#version` line; lines that are no pair are passed over. */
export function parseMergesText(text: string): string[] {
  const lines = text.split("\n");
  if (lines[0]?.startsWith("#")) lines.shift();
  return lines
    .map((line) => line.trim().split(/[ \t\r]+/))
    .filter((parts) => parts.length === 2)
    .map((parts) => parts.join(" "));
}

/** Whether the model of a tokenizer.json is byte-level BPE, the tokens' bytes being written as printable characters. */
export function usesByteFallback(document: JsonRecord): boolean {
  return isRecord(document.model) && document.model.byte_fallback === true;
}
