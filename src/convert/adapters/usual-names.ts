import { type Checkpoint, type StoredTensor, storedBytes } from "../checkpoint.js";
import { arranged } from "../views/arranged.js";
import { withScratch } from "../views/scratch.js";
import type { View } from "../views/view.js";

/** What Meta calls the tensors of LLaMA, and what transformers does. */
const names: readonly [RegExp, string][] = [
  [/^tok_embeddings\.weight$/, "model.embed_tokens.weight"],
  [/^norm\.weight$/, "model.norm.weight"],
  [/^output\.weight$/, "lm_head.weight"],
  [/^layers\.(\d+)\.attention_norm\.weight$/, "model.layers.$1.input_layernorm.weight"],
  [/^layers\.(\d+)\.ffn_norm\.weight$/, "model.layers.$1.post_attention_layernorm.weight"],
  [/^layers\.(\d+)\.attention\.w([qkvo])\.weight$/, "model.layers.$1.self_attn.$2_proj.weight"],
  [/^layers\.(\d+)\.feed_forward\.w1\.weight$/, "model.layers.$1.mlp.gate_proj.weight"],
  [/^layers\.(\d+)\.feed_forward\.w2\.weight$/, "model.layers.$1.mlp.down_proj.weight"],
  [/^layers\.(\d+)\.feed_forward\.w3\.weight$/, "model.layers.$1.mlp.up_proj.weight"],
];

export interface Heads {
  heads: number;
  kvHeads: number;
}

/**
 * The weights of a LLaMA by the names of transformers, whichever it has: those of Meta's are renamed, and the rows of Q
 * and K put where RoPE in transformers wants them, the first halves of all pairs of a head before the second ones. So
 * deltas and bases of either origin fit each other.
 *
 * Source: convert_llama_weights_to_hf.py of transformers.
 */
export function inUsualNames(checkpoint: Checkpoint, { heads, kvHeads }: Heads): Checkpoint {
  if (!checkpoint.tensors.has("tok_embeddings.weight")) return checkpoint;
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of checkpoint.tensors.values()) {
    const [pattern, usual] = names.find(([pattern]) => pattern.test(tensor.name)) ?? [];
    const name = pattern && usual ? tensor.name.replace(pattern, usual) : tensor.name;
    const count = /\.q_proj\./.test(name) ? heads : /\.k_proj\./.test(name) ? kvHeads : 0;
    tensors.set(name, { ...(count > 0 ? halved(tensor, count) : tensor), name });
  }
  return { ...checkpoint, tensors };
}

/** Rows of each head from pairs to two halves. A shape that is no such matrix's stays: it is refused where it is used. */
function halved(tensor: StoredTensor, heads: number): StoredTensor {
  const [rows = 0, columns = 0] = tensor.shape;
  if (tensor.shape.length !== 2 || columns === 0 || rows === 0 || rows % (2 * heads) !== 0) return tensor;
  const half = rows / heads / 2;
  const rowBytes = columns * storedBytes[tensor.type];
  const stored: View = {
    // rows are moved, whatever their elements are
    type: "U8",
    rows,
    rowBytes,
    readRows: (target, firstRow) => tensor.read(target, firstRow * columns),
  };
  const axes = [
    { count: heads, step: 2 * half },
    { count: 2, step: 1 },
    { count: half, step: 2 },
  ];
  return { ...tensor, read: elementReader(arranged(stored, 0, axes), storedBytes[tensor.type]) };
}

/** Reads from any element of a view, whole rows straight into the target. */
export function elementReader(view: View, elementBytes: number): StoredTensor["read"] {
  const { rowBytes } = view;
  return async (target, firstElement) => {
    for (let done = 0; done < target.byteLength; ) {
      const at = firstElement * elementBytes + done;
      const [row, skip] = [Math.floor(at / rowBytes), at % rowBytes];
      const left = target.byteLength - done;
      const length = skip > 0 || left < rowBytes ? Math.min(rowBytes - skip, left) : left - (left % rowBytes);
      const part = target.subarray(done, done + length);
      if (length % rowBytes === 0) await view.readRows(part, row);
      else
        await withScratch(rowBytes, async (scratch) => {
          await view.readRows(scratch, row);
          part.set(scratch.subarray(skip, skip + length));
        });
      done += length;
    }
  };
}
