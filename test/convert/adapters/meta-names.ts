import { float32Tensor, type MemoryTensor } from "../memory-checkpoint.js";

/** What Meta calls LLaMA's tensors. */
const metaNames: [RegExp, string][] = [
  [/^model\.embed_tokens/, "tok_embeddings"],
  [/^model\.norm/, "norm"],
  [/^lm_head/, "output"],
  [/^model\.layers/, "layers"],
  [/self_attn\.([qkvo])_proj/, "attention.w$1"],
  [/input_layernorm/, "attention_norm"],
  [/post_attention_layernorm/, "ffn_norm"],
  [/mlp\.gate_proj/, "feed_forward.w1"],
  [/mlp\.down_proj/, "feed_forward.w2"],
  [/mlp\.up_proj/, "feed_forward.w3"],
];

/** Weights of a Hugging Face LLaMA as Meta has them: other names, Q and K in pairs. */
export function asMeta(
  weights: Iterable<[string, MemoryTensor]>,
  heads: number,
  kvHeads: number,
): Map<string, MemoryTensor> {
  return new Map(
    Array.from(weights, ([name, tensor]) => [
      metaNames.reduce((text, [pattern, meta]) => text.replace(pattern, meta), name),
      paired(tensor, /q_proj/.test(name) ? heads : /k_proj/.test(name) ? kvHeads : 0),
    ]),
  );
}

/** Hugging Face's rows of Q and K, back to Meta's: pairs where there are halves. Written out, element by element. */
function paired(tensor: MemoryTensor, heads: number): MemoryTensor {
  if (heads === 0) return tensor;
  const [rows = 0, columns = 0] = tensor.shape;
  const size = rows / heads;
  const values = new Float32Array(tensor.bytes.buffer);
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const [head, at] = [Math.floor(row / size), row % size];
    const to = head * size + (at < size / 2 ? 2 * at : 2 * (at - size / 2) + 1);
    for (let column = 0; column < columns; column++)
      result[to * columns + column] = values[row * columns + column]!;
  }
  return float32Tensor(tensor.shape, result);
}
