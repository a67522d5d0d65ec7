import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { isJaugeError } from "../../errors.js";
import { malformed, problems } from "./folder.js";
import { mostTokens } from "./json.js";

/** What a SentencePiece `.model` file says. */
export interface SentencePieceModel {
  pieces: SentencePiece[];
  algorithm: "unigram" | "bpe" | "word" | "character";
  /** Ids of special tokens; absent where the model has none. */
  special: { unk?: number; bos?: number; eos?: number; pad?: number };
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  /** The compiled normalisation rules, empty for none. */
  characterMap: Uint8Array;
}

export interface SentencePiece {
  text: string;
  score: number;
  /** As in the file, which has the numbers of GGUF's token types but for 1 to 6 only. */
  type: number;
}

/**
 * Reads the protocol buffer `sentencepiece.ModelProto`.
 * Source: sentencepiece_model.proto of SentencePiece (field numbers and defaults).
 * Errors: `tokenizer-malformed`.
 */
export function parseSentencePieceModel(content: Uint8Array, path: string): SentencePieceModel {
  const model: SentencePieceModel = {
    pieces: [],
    algorithm: "unigram",
    special: { unk: 0, bos: 1, eos: 2 },
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    characterMap: new Uint8Array(),
  };
  const reader = new BinaryReader(content);
  try {
    eachField(reader, content.length, (number, wireType) => {
      if (wireType !== WireType.LengthDelimited || number < 1 || number > 3) return false;
      const end = endOfMessage(reader);
      if (number === 1) model.pieces.push(readPiece(reader, end));
      else if (number === 2) readTrainer(reader, end, model);
      else readNormaliser(reader, end, model);
      if (model.pieces.length > mostTokens)
        throw malformed(path, "pieces", problems.tooMany({ limit: mostTokens }));
      return true;
    });
  } catch (error) {
    if (isJaugeError(error)) throw error;
    throw malformed(path, `byte ${Math.min(reader.pos, content.length)}`, problems.notProtobuf());
  }
  if (model.pieces.length === 0) throw malformed(path, "pieces", problems.missing());
  const wrong = model.pieces.findIndex(({ type, score }) => type < 1 || type > 6 || Number.isNaN(score));
  if (wrong >= 0) throw malformed(path, `pieces[${wrong}]`, problems.notProtobuf());
  return model;
}

/** Calls `read` with each field up to `end`; what it does not take (`false`) is skipped. */
function eachField(
  reader: BinaryReader,
  end: number,
  read: (number: number, wireType: WireType) => boolean,
): void {
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    if (wireType === WireType.StartGroup || wireType === WireType.EndGroup) throw new RangeError("a group");
    if (!read(number, wireType)) reader.skip(wireType, number);
  }
  if (reader.pos !== end) throw new RangeError("a field beyond its message");
}

function endOfMessage(reader: BinaryReader): number {
  const length = reader.uint32();
  if (length > reader.len - reader.pos) throw new RangeError("a message beyond the file");
  return reader.pos + length;
}

function readPiece(reader: BinaryReader, end: number): SentencePiece {
  const piece: SentencePiece = { text: "", score: 0, type: 1 };
  eachField(reader, end, (number, wireType) => {
    if (number === 1 && wireType === WireType.LengthDelimited) piece.text = utf8.decode(reader.bytes());
    else if (number === 2 && wireType === WireType.Bit32) piece.score = reader.float();
    else if (number === 3 && wireType === WireType.Varint) piece.type = reader.int32();
    else return false;
    return true;
  });
  return piece;
}
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const algorithms = { 1: "unigram", 2: "bpe", 3: "word", 4: "character" } as const;
const specialFields = { 40: "unk", 41: "bos", 42: "eos", 43: "pad" } as const;

function readTrainer(reader: BinaryReader, end: number, model: SentencePieceModel): void {
  eachField(reader, end, (number, wireType) => {
    if (wireType !== WireType.Varint) return false;
    if (number === 3) {
      const algorithm = algorithms[reader.int32() as keyof typeof algorithms];
      if (!algorithm) throw new RangeError("an unknown algorithm");
      model.algorithm = algorithm;
      return true;
    }
    const name = specialFields[number as keyof typeof specialFields];
    if (!name) return false;
    const id = reader.int32();
    if (id >= 0) model.special[name] = id;
    else delete model.special[name];
    return true;
  });
}

function readNormaliser(reader: BinaryReader, end: number, model: SentencePieceModel): void {
  eachField(reader, end, (number, wireType) => {
    if (number === 2 && wireType === WireType.LengthDelimited) model.characterMap = reader.bytes();
    else if (number === 3 && wireType === WireType.Varint) model.addDummyPrefix = reader.bool();
    else if (number === 4 && wireType === WireType.Varint) model.removeExtraWhitespaces = reader.bool();
    else return false;
    return true;
  });
}
