import { type StoredTensor, storedBytes } from "../checkpoint.js";
import type { PooledFile } from "./file-pool.js";
import { type FlaxArray, readFlaxStream } from "./flax.js";
import { malformed, problems, unsupported } from "./problems.js";
import { type BandKeeper, type ElementReader, stridedReader } from "./strided.js";

/** What EasyLM calls the tensors of LLaMA, what Meta does, and whether theirs is the transpose. */
const names: readonly [RegExp, string, "transposed" | "same"][] = [
  [/^transformer\.wte\.embedding$/, "tok_embeddings.weight", "same"],
  [/^transformer\.ln_f\.kernel$/, "norm.weight", "same"],
  [/^lm_head\.kernel$/, "output.weight", "transposed"],
  [/^transformer\.h\.(\d+)\.(attention_norm|ffn_norm)\.kernel$/, "layers.$1.$2.weight", "same"],
  [/^transformer\.h\.(\d+)\.(attention\.w[qkvo])\.kernel$/, "layers.$1.$2.weight", "transposed"],
  [/^transformer\.h\.(\d+)\.(feed_forward\.w[123])\.kernel$/, "layers.$1.$2.weight", "transposed"],
];
/** What a whole training state has beside the weights. */
const trainingState = /^(opt_state|step|gradient_step|dropout_rng)\b/;

/**
 * The tensors of a LLaMA that EasyLM wrote (Koala, OpenLLaMA), with Meta's names and shapes: EasyLM keeps Meta's
 * order of rows, and matrices as inputs by outputs.
 *
 * Source: EasyLM/models/llama/convert_torch_to_easylm.py and llama_model.py of EasyLM.
 * Errors: those of `readFlaxStream`; `checkpoint-unsupported` for tensors of other models.
 */
export async function readEasyLm(file: PooledFile, bands: BandKeeper): Promise<StoredTensor[]> {
  const arrays = await readFlaxStream(file);
  const tensors = arrays.flatMap((array) => {
    const name = array.path.join(".").replace(/^(params\.)+/, "");
    return trainingState.test(name) ? [] : [storedTensor(file, name, array, bands)];
  });
  if (tensors.length === 0) throw malformed(file.path, "stream", problems.noTensors());
  return tensors;
}

function storedTensor(file: PooledFile, name: string, array: FlaxArray, bands: BandKeeper): StoredTensor {
  const { type, shape } = array;
  const known = names.find(([pattern]) => pattern.test(name));
  if (!known) throw unsupported(file.path, name, problems.notOfLlama());
  const [pattern, metaName, how] = known;
  const read = pieceReader(file, name, array);
  const plain = { name: name.replace(pattern, metaName), type };
  if (how === "same") return { ...plain, shape, read };
  const [rows = 0, columns = 0] = shape;
  if (shape.length !== 2)
    throw malformed(file.path, name, problems.badShape({ shape: `[${shape.join(", ")}]` }));
  const layout = { shape: [columns, rows], strides: [1, columns], offset: 0 };
  const isEmpty = rows === 0 || columns === 0;
  const turned = isEmpty ? read : stridedReader(read, storedBytes[type], layout, bands);
  return { ...plain, shape: layout.shape, read: turned };
}

/** Reads elements across the pieces of an array. */
function pieceReader(file: PooledFile, name: string, { type, pieces }: FlaxArray): ElementReader {
  const size = storedBytes[type];
  return async (target, firstElement) => {
    let start = firstElement * size;
    let done = 0;
    for (const { position, bytes } of pieces) {
      if (start < bytes && done < target.byteLength) {
        const length = Math.min(bytes - start, target.byteLength - done);
        await file.read(target.subarray(done, done + length), position + start, name);
        done += length;
        start = 0;
      } else start = Math.max(0, start - bytes);
    }
  };
}
