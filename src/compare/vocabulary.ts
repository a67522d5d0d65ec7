import { createHash } from "node:crypto";
import { JaugeError } from "../errors.js";
import { eachByteString } from "../gguf/arrays.js";
import { readModel } from "../gguf/model-file.js";

/** What tells one vocabulary from another. */
export interface VocabularyPrint {
  path: string;
  tokens: number;
  /** `tokenizer.ggml.model`, and `.pre` where there is one. */
  kind: string;
  /** SHA-256 of the tokens' texts in order. */
  digest: string;
}

/** Reads a model's vocabulary from its header. Errors: those of `readModel`. */
export async function vocabularyPrint(path: string): Promise<VocabularyPrint> {
  const { metadata } = await readModel(path);
  const texts = metadata.array("tokenizer.ggml.tokens");
  const kind = [metadata.string("tokenizer.ggml.model"), metadata.string("tokenizer.ggml.pre")]
    .filter((name) => name !== undefined)
    .join(", ");
  const hash = createHash("sha256");
  const length = Buffer.alloc(4);
  if (texts) {
    await eachByteString(texts, (bytes) => {
      length.writeUInt32LE(bytes.length);
      hash.update(length).update(bytes);
    });
  }
  return { path, tokens: texts?.count ?? 0, kind, digest: hash.digest("hex") };
}

/** Errors: `compare-vocabulary`. */
export function refuseOtherVocabulary(first: VocabularyPrint, other: VocabularyPrint): void {
  const differences = [
    [first.kind, other.kind],
    [`${first.tokens} tokens`, `${other.tokens} tokens`],
    [`SHA-256 ${first.digest.slice(0, 12)}`, `SHA-256 ${other.digest.slice(0, 12)}`],
  ];
  const found = differences.find(([a, b]) => a !== b);
  if (!found) return;
  const difference = `${found[0]}, ${found[1]}`;
  throw new JaugeError("compare-vocabulary", { path: first.path, other: other.path, difference });
}
