import { tensorBytes } from "../../src/gguf/tensor-types.js";
import { sourceFromConfig } from "../../src/planner/sources/from-config.js";
import { seeded } from "../gguf/random.js";
import { writeWithoutVocabulary } from "../gguf/tensors.js";

const llama = {
  model_type: "llama",
  hidden_size: 256,
  intermediate_size: 256,
  max_position_embeddings: 128,
  num_attention_heads: 8,
  num_hidden_layers: 8,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  vocab_size: 64,
};

/** Small shapes that the rules of mixes tell apart. */
export const quantisedShapes: Record<string, Record<string, unknown>> = {
  grouped: llama,
  tied: { ...llama, num_hidden_layers: 3, tie_word_embeddings: true, num_key_value_heads: 8 },
  "8 experts": {
    ...{ ...llama, model_type: "mixtral", num_hidden_layers: 2 },
    ...{ num_local_experts: 8, num_experts_per_tok: 2 },
  },
  falcon: {
    model_type: "falcon",
    hidden_size: 256,
    max_position_embeddings: 128,
    num_attention_heads: 4,
    num_hidden_layers: 4,
    new_decoder_architecture: true,
    num_kv_heads: 2,
    layer_norm_epsilon: 1e-5,
    vocab_size: 64,
    bias: false,
  },
  "odd rows": {
    ...{ ...llama, hidden_size: 160, intermediate_size: 352, num_hidden_layers: 3 },
    ...{ num_attention_heads: 5, num_key_value_heads: 5 },
  },
};

/** Writes a model of this configuration with random weights, of a few hundred thousand elements. */
export async function writeQuantisable(
  path: string,
  config: Record<string, unknown>,
  mix: "F16" | "BF16" | "F32",
): Promise<{ name: string; shape: readonly number[] }[]> {
  const source = sourceFromConfig(config, { name: "small", mix });
  const random = seeded(source.tensors.length);
  await writeWithoutVocabulary(path, source, (tensor) => ({
    ...tensor,
    data: () => [randomRows(tensor.type, tensorBytes(tensor.type, tensor.shape)!, random)],
  }));
  return source.tensors;
}

function randomRows(type: string, bytes: number, random: () => number): Uint8Array {
  const data = Buffer.alloc(bytes);
  // weights as trained ones are: many small, few large
  const weight = () => (random() + random() + random() - 1.5) * 0.1 * (random() < 0.01 ? 8 : 1);
  if (type === "F32") for (let at = 0; at < bytes; at += 4) data.writeFloatLE(weight(), at);
  else
    for (let at = 0; at < bytes; at += 2)
      data.writeUInt16LE(type === "BF16" ? bf16(weight()) : half(weight()), at);
  return data;
}

const scratch = new DataView(new ArrayBuffer(4));

function bf16(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint16(0);
}

/** The nearest half below, of a value far from the ends of its range. */
function half(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const exponent = ((bits >>> 23) & 0xff) - 112;
  return exponent <= 0 ? 0 : ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}
