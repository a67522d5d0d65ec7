import { JaugeError } from "../../errors.js";
import { type StoredTensor, storedBytes } from "../checkpoint.js";
import { joinColumns, joinRows } from "./join.js";
import type { MetaParameters } from "./meta-parameters.js";
import { problems } from "./problems.js";

/**
 * How the parts of a tensor are joined. Source: the parallel layers in llama/model.py of LLaMA, Llama 2 and Llama 3:
 * column-parallel ones are cut along their outputs, row-parallel ones along their inputs, norms and frequencies are in
 * every part.
 */
const rules: readonly [RegExp, "rows" | "columns" | "same"][] = [
  [/^layers\.\d+\.attention\.w[qkv]\.weight$/, "rows"],
  [/^layers\.\d+\.attention\.wo\.weight$/, "columns"],
  [/^layers\.\d+\.feed_forward\.w[13]\.weight$/, "rows"],
  [/^layers\.\d+\.feed_forward\.w2\.weight$/, "columns"],
  [/^output\.weight$/, "rows"],
  [/^(layers\.\d+\.(attention|ffn)_norm|norm)\.weight$/, "same"],
  [/^(layers\.\d+\.attention\.(inner_attention\.)?)?rope\.freqs$/, "same"],
];
const embedding = "tok_embeddings.weight";

/** The tensors of one of the `consolidated.NN.pth` files. */
export interface MetaShard {
  path: string;
  tensors: readonly StoredTensor[];
}

/**
 * The tensors of a model-parallel checkpoint of Meta's, with Meta's names, each joined from its parts while it is read.
 * Errors: `checkpoint-shards-differ`.
 */
export function joinShards(shards: readonly MetaShard[], parameters: MetaParameters): StoredTensor[] {
  const [first, ...others] = shards.map(({ tensors }) => new Map(tensors.map((one) => [one.name, one])));
  for (const [index, other] of others.entries()) {
    const file = shards[index + 1]!.path;
    for (const name of [...first!.keys(), ...other.keys()])
      if (!first!.has(name) || !other.has(name)) throw differ(shards, name, problems.shardNames({ file }));
  }
  return [...first!.values()].map((tensor) => {
    const parts = [tensor, ...others.map((other) => other.get(tensor.name)!)];
    return checked(shards, joined(shards, parts, parameters), parameters);
  });
}

function joined(
  shards: readonly MetaShard[],
  parts: readonly StoredTensor[],
  parameters: MetaParameters,
): StoredTensor {
  const first = parts[0]!;
  const { name, shape } = first;
  const count = parts.length;
  const shapes = parts.map((part) => `${part.type} [${part.shape.join(", ")}]`);
  if (new Set(shapes).size > 1)
    throw differ(shards, name, problems.shardShape({ shapes: shapes.join(" + ") }));
  const how = name === embedding ? embeddingRule(shards, first, count, parameters) : ruleOf(name);
  if (!how) throw differ(shards, name, problems.howJoined({ count }));
  if (how === "same") return first;
  if (shape.length !== 2) throw differ(shards, name, problems.shardShape({ shapes: shapes.join(" + ") }));
  return how === "rows"
    ? { ...first, shape: [shape[0]! * count, shape[1]!], read: joinRows(parts) }
    : { ...first, shape: [shape[0]!, shape[1]! * count], read: joinColumns(parts, storedBytes[first.type]) };
}

function ruleOf(name: string): "rows" | "columns" | "same" | undefined {
  return rules.find(([pattern]) => pattern.test(name))?.[1];
}

/** LLaMA and Llama 2 cut it along its columns, Llama 3 along the vocabulary; its shape says which. */
function embeddingRule(
  shards: readonly MetaShard[],
  { name, shape }: StoredTensor,
  count: number,
  { dim }: MetaParameters,
): "rows" | "columns" {
  if (shape.length === 2 && shape[1] === dim) return "rows";
  if (shape.length === 2 && shape[1]! * count === dim) return "columns";
  const problem = problems.embeddingShape({ shape: `[${shape.join(", ")}]`, count, dim });
  throw differ(shards, name, problem);
}

/** Holds the attention of a joined model against its parameters: a part too few or too many shows there. */
function checked(
  shards: readonly MetaShard[],
  tensor: StoredTensor,
  { dim, n_heads, n_kv_heads = n_heads }: MetaParameters,
): StoredTensor {
  const keyed = (dim / n_heads) * n_kv_heads;
  const expected = /\.w[qo]\.weight$/.test(tensor.name) ? [dim, dim] : [keyed, dim];
  const isAttention = /\.attention\.w[qkvo]\.weight$/.test(tensor.name);
  if (isAttention && (tensor.shape[0] !== expected[0] || tensor.shape[1] !== expected[1])) {
    const shapes = `[${tensor.shape.join(", ")}] ≠ [${expected.join(", ")}]`;
    throw differ(shards, tensor.name, problems.shardShape({ shapes }));
  }
  return tensor;
}

function differ(
  shards: readonly MetaShard[],
  field: string,
  problem: string,
): JaugeError<"checkpoint-shards-differ"> {
  return new JaugeError("checkpoint-shards-differ", { path: shards[0]!.path, field, problem });
}
