import { JaugeError } from "../../errors.js";
import { type StoredBlocks, storedBlocks } from "./format.js";
import type { Hyperparameters, LegacyFile, LegacyHeader, ListedTensor } from "./header.js";
import { malformed, problems } from "./problems.js";

/** A tensor of the model, from one file or joined from the parts of several. */
export interface JoinedTensor {
  /** As the file has it, which is what errors name. */
  readonly name: string;
  /** As GGUF has it. */
  readonly today: string;
  /** Row length first. */
  readonly shape: readonly number[];
  readonly blocks: StoredBlocks;
  /** What each part holds: rows below one another, or stretches of each row side by side. */
  readonly joined: Split;
  /** In the order of the parts, and just one where it is not split. */
  readonly pieces: readonly Piece[];
}

export interface Piece {
  /** Index of the part. */
  readonly part: number;
  readonly path: string;
  readonly offset: number;
  /** Row length first. */
  readonly shape: readonly number[];
}

/** How Meta's model parallelism cut a tensor, and llama.cpp's loader of 11 March 2023 (007a8f6) joined it. */
type Split = "whole" | "rows" | "columns";

/** Sizes that shapes follow from; the feed-forward and key/value sizes stand in no header. */
export interface Sizes {
  readonly n_ff: number;
  readonly n_embd_kv: number;
}

interface Role {
  readonly today: string;
  readonly split: Split;
  readonly shape: (hyperparameters: Hyperparameters, sizes: Sizes) => readonly number[];
}

const global: Record<string, Role> = {
  "tok_embeddings.weight": {
    today: "token_embd.weight",
    split: "columns",
    shape: (h) => [h.n_embd, h.n_vocab],
  },
  "norm.weight": { today: "output_norm.weight", split: "whole", shape: (h) => [h.n_embd] },
  "output.weight": { today: "output.weight", split: "rows", shape: (h) => [h.n_embd, h.n_vocab] },
};

const perLayer: Record<string, Role> = {
  "attention_norm.weight": { today: "attn_norm.weight", split: "whole", shape: (h) => [h.n_embd] },
  "attention.wq.weight": { today: "attn_q.weight", split: "rows", shape: (h) => [h.n_embd, h.n_embd] },
  "attention.wk.weight": { today: "attn_k.weight", split: "rows", shape: (h, s) => [h.n_embd, s.n_embd_kv] },
  "attention.wv.weight": { today: "attn_v.weight", split: "rows", shape: (h, s) => [h.n_embd, s.n_embd_kv] },
  "attention.wo.weight": {
    today: "attn_output.weight",
    split: "columns",
    shape: (h) => [h.n_embd, h.n_embd],
  },
  "ffn_norm.weight": { today: "ffn_norm.weight", split: "whole", shape: (h) => [h.n_embd] },
  "feed_forward.w1.weight": { today: "ffn_gate.weight", split: "rows", shape: (h, s) => [h.n_embd, s.n_ff] },
  "feed_forward.w2.weight": {
    today: "ffn_down.weight",
    split: "columns",
    shape: (h, s) => [s.n_ff, h.n_embd],
  },
  "feed_forward.w3.weight": { today: "ffn_up.weight", split: "rows", shape: (h, s) => [h.n_embd, s.n_ff] },
};

/** More than any dimension of a LLaMA; bounds what one row can take. */
const longestDimension = 1 << 20;

/**
 * Bytes of a listed tensor's data, where it is one of a LLaMA, of a type its container knows and of whole blocks.
 * Errors: `legacy-malformed`, `legacy-type`.
 */
export function admitTensor(header: LegacyHeader, tensor: ListedTensor): number {
  const { path } = header;
  const { name, shape } = tensor;
  if (!isDropped(name) && !roleOf(name, header.hyperparameters.n_layer))
    throw malformed(path, JSON.stringify(name), problems.unknownTensor());
  for (const value of shape) {
    if (value < 1 || value > longestDimension)
      throw malformed(path, name, problems.outOfRange({ value, low: 1, high: longestDimension }));
  }
  const blocks = blocksOf(header, tensor);
  const row = shape[0]!;
  if (row % blocks.blockElements !== 0) {
    const { name: type, blockElements } = blocks;
    const small = blockElements === 256 && row % 64 === 0;
    const problem = small
      ? problems.smallSuperBlocks({ type, row })
      : problems.rowsOfBlocks({ type, row, block: blockElements });
    throw malformed(path, name, problem);
  }
  return (row / blocks.blockElements) * blocks.blockBytes * (shape[1] ?? 1);
}

/** Whether every tensor of the model is there; each part of a model has its piece of all. */
export function hasAllTensors(
  tensors: ReadonlyMap<string, ListedTensor>,
  { n_layer }: Hyperparameters,
): boolean {
  return [...allNames(n_layer)].every((name) => tensors.has(name));
}

/** How many parts a model has, from how far the columns of its embeddings reach. */
export function countParts(first: LegacyFile): number {
  const embeddings = first.tensors.get("tok_embeddings.weight");
  if (!embeddings) throw malformed(first.path, "tok_embeddings.weight", problems.missing());
  const { n_embd } = first.hyperparameters;
  const columns = embeddings.shape[0]!;
  const parts = n_embd / columns;
  if (!Number.isInteger(parts) || parts > 64)
    throw malformed(
      first.path,
      "tok_embeddings.weight",
      problems.notDividing({ value: n_embd, divisor: `${columns}` }),
    );
  return parts;
}

/**
 * The tensors of a model from those of its parts, in the first part's order, every one of a LLaMA and in its shape.
 * Errors: `legacy-malformed`.
 */
export function joinTensors(files: readonly LegacyFile[]): { tensors: JoinedTensor[]; sizes: Sizes } {
  const first = files[0]!;
  const { hyperparameters } = first;
  const names = [...first.tensors.keys()].filter((name) => !isDropped(name));
  for (const name of allNames(hyperparameters.n_layer))
    if (!first.tensors.has(name)) throw malformed(first.path, name, problems.missing());
  const tensors = names.map((name) => joinTensor(files, name, roleOf(name, hyperparameters.n_layer)!));
  const rowsOf = (name: string) => tensors.find((tensor) => tensor.name === name)!.shape[1] ?? 1;
  const sizes = {
    n_ff: rowsOf("layers.0.feed_forward.w1.weight"),
    n_embd_kv: rowsOf("layers.0.attention.wk.weight"),
  };
  for (const { name, shape } of tensors) {
    const expected = roleOf(name, hyperparameters.n_layer)!.shape(hyperparameters, sizes);
    if (shape.length !== expected.length || shape.some((value, index) => value !== expected[index]))
      throw malformed(
        first.path,
        name,
        problems.shape({ found: printed(shape), expected: printed(expected) }),
      );
  }
  return { tensors, sizes };
}

function joinTensor(files: readonly LegacyFile[], name: string, role: Role): JoinedTensor {
  const first = files[0]!;
  const listed = files.map((file) => {
    const tensor = file.tensors.get(name);
    if (!tensor) throw malformed(file.path, name, problems.missing());
    return tensor;
  });
  const { shape, typeNumber } = listed[0]!;
  const blocks = blocksOf(first, listed[0]!);
  if (role.split === "whole" && blocks.name !== "F32" && blocks.name !== "F16")
    throw malformed(first.path, name, problems.type({ found: blocks.name, expected: "F32" }));
  for (const [part, tensor] of listed.entries()) {
    const { path } = files[part]!;
    if (printed(tensor.shape) !== printed(shape))
      throw malformed(path, name, problems.shape({ found: printed(tensor.shape), expected: printed(shape) }));
    if (tensor.typeNumber !== typeNumber)
      throw malformed(
        path,
        name,
        problems.type({ found: blocksOf(files[part]!, tensor).name, expected: blocks.name }),
      );
  }
  const pieces = listed.map((tensor, part) => ({ part, path: files[part]!.path, ...tensor }));
  const one = role.split === "whole" || files.length === 1;
  return {
    name,
    today: role.today,
    shape: one
      ? shape
      : role.split === "rows"
        ? [shape[0]!, (shape[1] ?? 1) * files.length]
        : [shape[0]! * files.length, shape[1] ?? 1],
    blocks,
    joined: one ? "whole" : role.split,
    pieces: one ? pieces.slice(0, 1) : pieces,
  };
}

function blocksOf(header: LegacyHeader, tensor: ListedTensor): StoredBlocks {
  const { path, container, hyperparameters } = header;
  const blocks = storedBlocks(container, tensor.typeNumber, hyperparameters.ftype);
  if (blocks) return blocks;
  throw new JaugeError("legacy-type", {
    path,
    tensor: tensor.name,
    type: String(tensor.typeNumber),
    format: container,
  });
}

/** Tables of RoPE, which the engine computes, were written along by some converters. */
function isDropped(name: string): boolean {
  return /^(rope\.freqs|layers\.\d{1,4}\.attention\.inner_attention\.rope\.freqs)$/.test(name);
}

function roleOf(name: string, layers: number): Role | undefined {
  if (Object.hasOwn(global, name)) return global[name];
  const [, layer, part] = /^layers\.(0|[1-9]\d{0,3})\.([a-z0-9_.]+)$/.exec(name) ?? [];
  if (part === undefined || Number(layer) >= layers || !Object.hasOwn(perLayer, part)) return undefined;
  const role = perLayer[part]!;
  return { ...role, today: `blk.${layer}.${role.today}` };
}

function* allNames(layers: number): Generator<string> {
  yield* Object.keys(global);
  for (let layer = 0; layer < layers; layer++)
    for (const part of Object.keys(perLayer)) yield `layers.${layer}.${part}`;
}

function printed(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
