import { JaugeError } from "../errors.js";
import { otherFormats } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";

const texts = localized(otherFormats);

/** The `not-a-gguf` error for a file by its first bytes (up to 64), saying what it looks like and what to do. */
export function notAGguf(path: string, head: Buffer): JaugeError<"not-a-gguf"> {
  const [looksLike, advice] = recognise(head);
  return new JaugeError("not-a-gguf", { path, looksLike, advice });
}

/** What a file looks like that is no GGUF, and what to do with it; no advice where nothing is recognised. */
export function unrecognised(error: JaugeError<"not-a-gguf">): JaugeError<"source-format-unknown"> {
  const { path, looksLike, advice } = error.facts;
  const known = advice === texts.checkPath ? "" : advice;
  return new JaugeError("source-format-unknown", { path, looksLike, advice: known }, { cause: error });
}

/** The magic numbers of the formats before GGUF: GGML, GGMF, GGJT, GGLA, as little-endian files hold them. */
const oldMagics = new Set(["lmgg", "fmgg", "tjgg", "algg"]);

function recognise(head: Buffer): [looksLike: string, advice: string] {
  const text = head.toString("latin1");
  if (head.length === 0) return [texts.empty, texts.downloadAgain];
  if (text.startsWith("version https://git-lfs")) return [texts.lfsPointer, texts.lfsAdvice];
  if (/^\s*(<!doctype html|<html|<\?xml)/i.test(text)) return [texts.html, texts.htmlAdvice];
  if (text.startsWith("PK\x03\x04")) return [texts.zip, texts.convert];
  // pickle protocol 2 to 5, as torch.save wrote before zip
  if (head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5) return [texts.pickle, texts.convert];
  if (oldMagics.has(text.slice(0, 4))) return [texts.ggml, texts.ggmlAdvice];
  // safetensors: the length of a JSON header, then the header
  if (head.length > 9 && head[6] === 0 && head[7] === 0 && text[8] === "{")
    return [texts.safetensors, texts.convert];
  return [texts.unknown, texts.checkPath];
}
