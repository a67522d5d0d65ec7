import { JaugeError } from "../../errors.js";
import type { WritableValue } from "../../gguf/encode.js";
import type { ConvertibleModel } from "../model.js";
import type { Blueprint } from "./blueprint.js";
import { knownModel } from "./known.js";

/**
 * How a model that has GGUF's names already (a GGUF, a GGML file of 2023, a checkpoint of Meta's) is made from the
 * tensors of its Hugging Face folder: the way back from metadata to a configuration, as far as names, shapes and the
 * order of rows depend on it. What lies in the model only, as computed tables do, is missing.
 *
 * Errors: `adapter-needs-original`, `source-config-invalid`.
 */
export function blueprintOfModel(model: ModelFacts): Blueprint {
  const facts = new Facts(model);
  const values = configOf(facts);
  if (!values)
    throw new JaugeError("adapter-needs-original", {
      path: model.path,
      architecture: facts.architecture,
      known: Object.keys(origins),
    });
  return knownModel(values, model.path).blueprint;
}

type ModelFacts = Pick<ConvertibleModel, "path" | "metadata" | "tensors">;

function configOf(facts: Facts): Record<string, unknown> | undefined {
  const { architecture } = facts;
  if (!Object.hasOwn(origins, architecture)) return undefined;
  return { ...commonValues(facts), ...origins[architecture]!(facts) };
}

function commonValues(facts: Facts): Record<string, unknown> {
  return {
    hidden_size: facts.number("embedding_length"),
    intermediate_size: facts.number("feed_forward_length"),
    num_hidden_layers: facts.number("block_count"),
    num_attention_heads: facts.number("attention.head_count"),
    num_key_value_heads: facts.number("attention.head_count_kv"),
    head_dim: facts.number("attention.key_length"),
    vocab_size: facts.rows("token_embd.weight"),
    max_position_embeddings: facts.number("context_length"),
    rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
    layer_norm_epsilon: facts.number("attention.layer_norm_epsilon"),
    tie_word_embeddings: !facts.has("output.weight"),
  };
}

const mixture = (facts: Facts) => ({
  num_experts: facts.number("expert_count"),
  num_experts_per_tok: facts.number("expert_used_count"),
  moe_intermediate_size: facts.number("expert_feed_forward_length"),
});
const window = (facts: Facts) => ({ sliding_window: facts.number("attention.sliding_window") });

/** By `general.architecture`: what a configuration has beside the common values, its `model_type` first. */
const origins: Readonly<Record<string, (facts: Facts) => Record<string, unknown>>> = {
  llama: (facts) => ({
    model_type: "llama",
    attention_bias: facts.has("blk.0.attn_q.bias"),
    mlp_bias: facts.has("blk.0.ffn_up.bias"),
    ...mixture(facts),
  }),
  smollm3: () => ({ model_type: "smollm3" }),
  qwen2: () => ({ model_type: "qwen2" }),
  qwen2moe: (facts) => ({
    model_type: "qwen2_moe",
    qkv_bias: facts.has("blk.0.attn_q.bias"),
    shared_expert_intermediate_size: facts.number("expert_shared_feed_forward_length"),
    ...mixture(facts),
  }),
  qwen3: (facts) => ({ model_type: "qwen3", attention_bias: facts.has("blk.0.attn_q.bias") }),
  qwen3moe: (facts) => ({
    model_type: "qwen3_moe",
    attention_bias: facts.has("blk.0.attn_q.bias"),
    ...mixture(facts),
  }),
  gemma2: (facts) => ({ model_type: "gemma2", ...window(facts) }),
  gemma3: (facts) => ({ model_type: "gemma3_text", ...window(facts) }),
  phi3: () => ({ model_type: "phi3" }),
  olmo2: () => ({ model_type: "olmo2" }),
  gpt2: () => ({ model_type: "gpt2" }),
  gptneox: (facts) => ({
    model_type: "gpt_neox",
    use_parallel_residual: facts.truth("use_parallel_residual"),
  }),
  falcon: (facts) => {
    const shared = facts.number("attention.head_count_kv") ?? 1;
    const heads = facts.number("attention.head_count") ?? 1;
    const hasTwoNorms = facts.has("blk.0.attn_norm_2.weight");
    const isNew = hasTwoNorms || (shared > 1 && shared < heads);
    return {
      model_type: "falcon",
      new_decoder_architecture: isNew,
      num_kv_heads: shared,
      multi_query: shared === 1,
      num_ln_in_parallel_attn: hasTwoNorms ? 2 : 1,
    };
  },
  stablelm: (facts) => ({
    model_type: "stablelm",
    use_qkv_bias: facts.has("blk.0.attn_q.bias"),
    qk_layernorm: facts.has("blk.0.attn_q_norm.weight"),
    use_parallel_residual: !facts.has("blk.0.ffn_norm.weight"),
  }),
  "gpt-oss": (facts) => ({ model_type: "gpt_oss", ...mixture(facts), ...window(facts) }),
};

/** What metadata and tensors say; `undefined` where they say nothing. */
class Facts {
  readonly architecture: string;
  private readonly metadata: ReadonlyMap<string, WritableValue>;
  private readonly shapes: ReadonlyMap<string, readonly number[]>;

  constructor({ metadata, tensors }: ModelFacts) {
    const name = metadata.get("general.architecture");
    this.architecture = name?.type === "string" ? name.value : "?";
    this.metadata = metadata;
    this.shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  }

  /** A list, which has a number for each layer, is none that a configuration could state. */
  number(key: string): number | undefined {
    const entry = this.metadata.get(`${this.architecture}.${key}`);
    return entry && entry.type !== "array" && entry.type !== "string" ? Number(entry.value) : undefined;
  }

  truth(key: string): boolean | undefined {
    const entry = this.metadata.get(`${this.architecture}.${key}`);
    return entry?.type === "bool" ? entry.value : undefined;
  }

  has(tensor: string): boolean {
    return this.shapes.has(tensor);
  }

  rows(tensor: string): number | undefined {
    return this.shapes.get(tensor)?.[1];
  }
}
