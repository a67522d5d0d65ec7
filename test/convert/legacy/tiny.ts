import { seeded } from "../../gguf/random.js";
import type { Block, BlockKind, WrittenFile, WrittenTensor } from "./writer.js";

/** Hyperparameters of the smallest LLaMA with whole blocks: 64 wide, a layer, grouped-query attention where asked. */
export const tiny = { vocabulary: 300, hidden: 64, multiple: 64, feedForward: 192, heads: 2, layers: 1 };

/** The vocabulary of LLaMA in small: unknown, beginning, end, 256 bytes, pieces. */
export function tinyTokens(count = tiny.vocabulary): { text: Buffer; score: number }[] {
  return Array.from({ length: count }, (_, id) => {
    if (id < 3) return { text: Buffer.from(id === 0 ? " \u2047 " : ""), score: 0 };
    if (id < 259) return { text: Buffer.from([id - 3]), score: 0 };
    return { text: Buffer.from(` w${id}`), score: 259 - id };
  });
}

export interface MadeTensor extends WrittenTensor {
  /** The blocks of each row, where it is quantised. */
  rows?: Block[][];
  floats?: number[];
}

/** A model whose matrices are all of `kind`, of random blocks; `encodeRow` lays down a row. */
export function tinyModel(
  container: string,
  kind: BlockKind,
  {
    seed = 1,
    keyValueHeads = tiny.heads,
    encodeRow = (_: BlockKind, row: Block[]): Buffer => Buffer.concat(row.map((block) => kind.encode(block))),
    fileType = 0,
  } = {},
): { file: WrittenFile; made: MadeTensor[] } {
  const random = seeded(seed);
  const block = (): Block => ({
    scale: Math.fround((kind.halfScale ? 2 ** -6 : 0.013) * (1 + Math.floor(random() * 64))),
    minimum: kind.minimum
      ? Math.fround((kind.halfScale ? -(2 ** -5) : -0.017) * Math.floor(random() * 64))
      : 0,
    quants: Array.from(
      { length: kind.elements },
      () => kind.range[0] + Math.floor(random() * (kind.range[1] - kind.range[0] + 1)),
    ),
  });
  const matrix = (name: string, from: number, to: number): MadeTensor => {
    const rows = Array.from({ length: to }, () => Array.from({ length: from / kind.elements }, block));
    const data = Buffer.concat(rows.map((row) => encodeRow(kind, row)));
    return { name, number: kind.number, shape: [from, to], data, rows };
  };
  const norm = (name: string): MadeTensor => {
    const floats = Array.from({ length: tiny.hidden }, () => Math.fround(0.5 + random()));
    return {
      name,
      number: 0,
      shape: [tiny.hidden],
      data: Buffer.from(Float32Array.from(floats).buffer),
      floats,
    };
  };
  const { hidden, feedForward, vocabulary } = tiny;
  const keyValue = (hidden / tiny.heads) * keyValueHeads;
  const made = [
    matrix("tok_embeddings.weight", hidden, vocabulary),
    norm("norm.weight"),
    matrix("output.weight", hidden, vocabulary),
    matrix("layers.0.attention.wq.weight", hidden, hidden),
    matrix("layers.0.attention.wk.weight", hidden, keyValue),
    matrix("layers.0.attention.wv.weight", hidden, keyValue),
    matrix("layers.0.attention.wo.weight", hidden, hidden),
    matrix("layers.0.feed_forward.w1.weight", hidden, feedForward),
    matrix("layers.0.feed_forward.w2.weight", feedForward, hidden),
    matrix("layers.0.feed_forward.w3.weight", hidden, feedForward),
    norm("layers.0.attention_norm.weight"),
    norm("layers.0.ffn_norm.weight"),
  ];
  const hyperparameters = [
    vocabulary,
    hidden,
    tiny.multiple,
    tiny.heads,
    tiny.layers,
    hidden / tiny.heads,
    fileType,
  ];
  return { file: { container, hyperparameters, tokens: tinyTokens(), tensors: made }, made };
}
