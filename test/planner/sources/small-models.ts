import type { WritableValue } from "../../../src/gguf/encode.js";
import { readGguf } from "../../../src/gguf/reader.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import { sourceFromConfig } from "../../../src/planner/sources/from-config.js";
import type { HeaderSource } from "../../../src/planner/sources/header-source.js";
import type { MixName } from "../../../src/quantize/mixes.js";
import { storiesPath } from "../../gguf/temporary.js";
import { zeros } from "../../gguf/tensors.js";
import { publicConfigs } from "./public-configs.js";

/** Shrinks a public configuration: same kind, same ratio of heads, the embedded model's number of tokens. */
export function smallConfig(name: string): Record<string, unknown> {
  const config = publicConfigs[name]!;
  const small: Record<string, unknown> = {
    hidden_size: 128,
    intermediate_size: 256,
    max_position_embeddings: 2048,
    moe_intermediate_size: 64,
    num_attention_heads: 4,
    num_hidden_layers: 6,
    num_key_value_heads: 2,
    num_kv_heads: 2,
    num_experts: 8,
    num_local_experts: 8,
    num_experts_per_tok: 2,
    shared_expert_intermediate_size: 128,
    head_dim: 32,
    sliding_window: 256,
    vocab_size: 512,
    n_embd: 128,
    n_head: 4,
    n_layer: 6,
    n_ctx: 2048,
    n_positions: 2048,
    rope_scaling: name.startsWith("phi-3") ? longRope : config.rope_scaling,
    layer_types: (config.layer_types as string[] | undefined)?.slice(0, 6),
  };
  if (config.text_config)
    return { ...config, text_config: shrink(config.text_config as Record<string, unknown>, small) };
  return shrink(config, small);
}

const longRope = {
  long_factor: new Array(16).fill(1.1),
  short_factor: new Array(16).fill(1),
  type: "longrope",
};

function shrink(config: Record<string, unknown>, small: Record<string, unknown>): Record<string, unknown> {
  const common = { vocab_size: 512, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 32 };
  const isGemma3 = config.model_type === "gemma3_text";
  return {
    ...Object.fromEntries(Object.keys(config).map((key) => [key, small[key] ?? config[key]])),
    ...(isGemma3 ? common : {}),
  };
}

/**
 * Writes a small model of this kind as a whole file: the embedded model's vocabulary, and zeros for weights. Returns
 * the source it was made from.
 */
export async function writeSmallModel(
  path: string,
  name: string,
  mix: MixName = "Q8_0",
): Promise<HeaderSource> {
  const source = sourceFromConfig(smallConfig(name), { name, mix });
  const { metadata: stories } = await readGguf(storiesPath);
  const vocabulary = [...stories.entries()].filter(([key]) => key.startsWith("tokenizer."));
  const metadata = new Map<string, WritableValue>([
    ...([...source.metadata.entries()].map(([key, entry]) => [
      key,
      entry.type === "array"
        ? { type: "array", value: { elementType: entry.value.elementType, items: entry.value.items! } }
        : entry,
    ]) as [string, WritableValue][]),
    // libllama looks for "phi-3" here, and then for tokens that only Phi-3's vocabulary has
    ["general.name", { type: "string", value: "small" }],
    ...vocabulary,
  ]);
  await writeGguf(path, { metadata, tensors: source.tensors.map(zeros) });
  return source;
}

/** Writes a small Mamba: no attention, a state of fixed size instead. Source: src/models/mamba.cpp of v0.5.0. */
export async function writeMamba(path: string): Promise<void> {
  const [hidden, inner, state, rank, kernel, layers] = [128, 256, 16, 8, 4, 3];
  const { metadata: stories } = await readGguf(storiesPath);
  const numbers = {
    context_length: 2048,
    embedding_length: hidden,
    feed_forward_length: 0,
    block_count: layers,
    "attention.head_count": 0,
    "ssm.conv_kernel": kernel,
    "ssm.inner_size": inner,
    "ssm.state_size": state,
    "ssm.time_step_rank": rank,
  };
  const metadata = new Map<string, WritableValue>([
    ["general.architecture", { type: "string", value: "mamba" }],
    ...Object.entries(numbers).map(([key, value]): [string, WritableValue] => [
      `mamba.${key}`,
      { type: "uint32", value },
    ]),
    ["mamba.attention.layer_norm_rms_epsilon", { type: "float32", value: 1e-5 }],
    ...[...stories.entries()].filter(([key]) => key.startsWith("tokenizer.")),
  ]);
  const layer = (index: number): [string, ...number[]][] => [
    [`blk.${index}.attn_norm.weight`, hidden],
    [`blk.${index}.ssm_in.weight`, hidden, 2 * inner],
    [`blk.${index}.ssm_conv1d.weight`, kernel, inner],
    [`blk.${index}.ssm_conv1d.bias`, inner],
    [`blk.${index}.ssm_x.weight`, inner, rank + 2 * state],
    [`blk.${index}.ssm_dt.weight`, rank, inner],
    [`blk.${index}.ssm_dt.bias`, inner],
    [`blk.${index}.ssm_a`, state, inner],
    [`blk.${index}.ssm_d`, inner],
    [`blk.${index}.ssm_out.weight`, inner, hidden],
  ];
  const tensors: [string, ...number[]][] = [
    ["token_embd.weight", hidden, 512],
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    ["output_norm.weight", hidden],
  ];
  await writeGguf(path, {
    metadata,
    tensors: tensors.map(([name, ...shape]) => zeros({ name, type: "F32", shape })),
  });
}
