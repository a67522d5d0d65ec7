import { architectures } from "../../src/gguf/architectures.js";
import { arrayType, f32, parseRaw, type RawGguf, type RawKey, serialiseRaw, stringType, u32 } from "./raw.js";

export interface Mutant {
  bytes: Buffer;
  /** What was done to the file, to find it again. */
  story: string;
}

/** A hostile variant of a well-formed file: bytes, or one to three of its parts, changed. */
export function mutate(original: Buffer, random: () => number): Mutant {
  const dice = new Dice(random);
  if (dice.chance(0.3)) {
    const { headerBytes } = parseRaw(original);
    return dice.pick(byteChanges)(Buffer.from(original), headerBytes, dice);
  }
  const raw = parseRaw(original);
  const stories: string[] = [];
  for (let left = dice.between(1, 3); left > 0; left--) stories.push(dice.pick(partChanges)(raw, dice));
  return { bytes: serialiseRaw(raw), story: stories.join("; ") };
}

class Dice {
  constructor(readonly random: () => number) {}
  chance(probability: number): boolean {
    return this.random() < probability;
  }
  between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }
  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }
  integer(): number {
    return this.chance(0.3) ? this.between(0, 1024) : this.pick(integers);
  }
}

const integers = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 128, 255, 256, 257, 511, 512, 513, 1000, 4096, 65535,
  65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];
const floats = [
  0,
  -0,
  1,
  -1,
  1e-5,
  1e-45,
  1e38,
  -1e38,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];
const longs = [
  0n,
  1n,
  2n,
  2n ** 16n,
  2n ** 31n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const byteChanges: ((bytes: Buffer, headerBytes: number, dice: Dice) => Mutant)[] = [
  (bytes, headerBytes, dice) => {
    const story: number[] = [];
    for (let left = dice.between(1, 8); left > 0; left--) {
      const at = dice.between(0, headerBytes);
      bytes[at]! ^= 1 << dice.between(0, 7);
      story.push(at);
    }
    return { bytes, story: `bits flipped at ${story}` };
  },
  (bytes, headerBytes, dice) => {
    const at = dice.between(0, headerBytes - 8);
    const value = dice.pick(longs);
    bytes.writeBigUInt64LE(value, at);
    return { bytes, story: `${value} written at ${at}` };
  },
  (bytes, headerBytes, dice) => {
    const at = dice.between(0, headerBytes - 4);
    const value = dice.integer();
    bytes.writeUInt32LE(value, at);
    return { bytes, story: `${value} written at ${at}` };
  },
  (bytes, headerBytes, dice) => {
    const length = dice.between(0, dice.chance(0.5) ? headerBytes : bytes.length);
    return { bytes: bytes.subarray(0, length), story: `cut to ${length}` };
  },
  (bytes, headerBytes, dice) => {
    const at = dice.between(8, headerBytes);
    const length = dice.between(1, 64);
    const story = `${length} bytes removed at ${at}`;
    return { bytes: Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]), story };
  },
  (bytes, _, dice) => {
    // the first 24 bytes hold version and counts
    const at = dice.pick([4, 8, 16]);
    const value = dice.pick(longs);
    if (at === 4) bytes.writeUInt32LE(dice.integer(), 4);
    else bytes.writeBigUInt64LE(value, at);
    return { bytes, story: `preamble ${at}: ${value}` };
  },
];

const partChanges: ((raw: RawGguf, dice: Dice) => string)[] = [
  changeNumber,
  changeNumber,
  addKnownKey,
  addKnownKey,
  addKnownKey,
  retype,
  removeKey,
  changeText,
  changeArchitecture,
  changeTokens,
  changeArray,
  changeShape,
  changeTensorType,
  changeTensorName,
  changeData,
];

/** Another value of the same type for a number of the file. */
function changeNumber(raw: RawGguf, dice: Dice): string {
  const numbers = raw.keys.filter(
    (key) => key.type !== arrayType && key.type !== stringType && key.payload.length === 4,
  );
  if (numbers.length === 0) return "";
  const key = dice.pick(numbers);
  const value = key.type === 6 ? dice.pick(floats) : dice.integer();
  key.payload = key.type === 6 ? f32(value) : u32(value);
  return `${key.key} = ${value}`;
}

/** A key llama.cpp knows, with a value of its own type but any size, as a number or an array for each layer. */
function addKnownKey(raw: RawGguf, dice: Dice): string {
  const [name, type] = dice.pick(knownKeys);
  const prefix = architectureOf(raw);
  const key = Buffer.from(
    name.startsWith("general.") || name.startsWith("tokenizer.") ? name : `${prefix}.${name}`,
  );
  const value = type === 6 ? dice.pick(floats) : type === 7 ? dice.between(0, 1) : dice.integer();
  const encode = () => (type === 6 ? f32(value) : type === 7 ? Buffer.from([value]) : u32(value));
  const entry = scalar(key, type, encode());
  const isLayered = type !== 7 && dice.chance(0.2);
  if (isLayered) {
    const count = dice.pick([0, 1, 4, 5, 6, 512]);
    const items = Array.from({ length: count }, () => (dice.chance(0.5) ? encode() : u32(dice.integer())));
    Object.assign(entry, {
      type: arrayType,
      elementType: type,
      count: BigInt(count),
      payload: Buffer.concat(items),
    });
  }
  put(raw, entry);
  return `${key} = ${isLayered ? `[${entry.count}] ` : ""}${value}`;
}

function retype(raw: RawGguf, dice: Dice): string {
  const key = dice.pick(raw.keys);
  const type = dice.between(0, 13);
  if (key.type === arrayType && dice.chance(0.7)) key.elementType = type;
  else key.type = type;
  return `${key.key} has type ${type}`;
}

function removeKey(raw: RawGguf, dice: Dice): string {
  const [removed] = raw.keys.splice(dice.between(0, raw.keys.length - 1), 1);
  return `${removed?.key} removed`;
}

function changeText(raw: RawGguf, dice: Dice): string {
  const [name, texts] = dice.pick(knownTexts);
  const key =
    name.startsWith("tokenizer.") || name.startsWith("general.") ? name : `${architectureOf(raw)}.${name}`;
  const text = dice.pick(texts);
  put(raw, scalar(Buffer.from(key), stringType, Buffer.from(text)));
  return `${key} = "${text.slice(0, 40)}"`;
}

/** Another architecture, and most times the keys it would have. */
function changeArchitecture(raw: RawGguf, dice: Dice): string {
  const before = `${architectureOf(raw)}.`;
  const after = dice.pick([...architectures, "clip", "", "LLAMA", "(unknown)"]);
  put(raw, scalar(Buffer.from("general.architecture"), stringType, Buffer.from(after)));
  if (dice.chance(0.9))
    for (const key of raw.keys)
      if (key.key.toString().startsWith(before))
        key.key = Buffer.from(`${after}.${key.key.toString().slice(before.length)}`);
  return `architecture ${after}`;
}

function changeTokens(raw: RawGguf, dice: Dice): string {
  const key = raw.keys.find((key) => key.strings && key.strings.length > 1);
  if (!key?.strings) return "";
  const { strings } = key;
  const at = dice.between(0, strings.length - 1);
  const change = dice.pick(["copy", "empty", "nul", "bytes", "long", "drop", "byte"] as const);
  if (change === "copy") strings[at] = dice.pick(strings);
  if (change === "empty") strings[at] = Buffer.alloc(0);
  if (change === "nul") strings[at] = Buffer.from([0x61 + dice.between(0, 1), 0, at & 255]);
  if (change === "bytes") strings[at] = Buffer.from([0xff, 0xc0, 0x80, dice.between(0, 255)]);
  if (change === "long") strings[at] = Buffer.alloc(dice.pick([1000, 70_000, 300_000]), "x");
  if (change === "drop")
    key.count = BigInt(strings.splice(at, dice.pick([1, strings.length])).length && strings.length);
  if (change === "byte")
    strings[Math.min(dice.between(3, 258), strings.length - 1)] = Buffer.from(`missing-${at}`);
  return `token ${at}: ${change}`;
}

function changeArray(raw: RawGguf, dice: Dice): string {
  const key = dice.pick(raw.keys.filter((key) => key.type === arrayType));
  if (!key) return "";
  if (key.strings) {
    key.count = BigInt(dice.integer());
  } else if (dice.chance(0.5) && key.payload.length >= 4) {
    const at = dice.between(0, key.payload.length - 4);
    key.payload.writeUInt32LE(
      dice.chance(0.5) ? dice.integer() : Math.floor(dice.random() * 2 ** 32),
      at - (at % 4),
    );
  } else {
    const count = dice.between(0, Number(key.count));
    key.payload = key.payload.subarray(0, count * (key.payload.length / Number(key.count)));
    key.count = BigInt(count);
  }
  return `${key.key} has ${key.count} items`;
}

function changeShape(raw: RawGguf, dice: Dice): string {
  const tensor = dice.pick(raw.tensors);
  const change = dice.pick(["turn", "grow", "empty", "set", "set", "set"] as const);
  if (change === "turn") tensor.shape.reverse();
  if (change === "grow") tensor.shape.push(BigInt(dice.integer()));
  if (change === "empty") tensor.shape = [];
  if (change === "set") tensor.shape[dice.between(0, tensor.shape.length - 1)] = BigInt(dice.integer());
  return `${tensor.name} has shape [${tensor.shape}]`;
}

/** Other types, some of the same size, so that the file stays whole. */
function changeTensorType(raw: RawGguf, dice: Dice): string {
  const tensor = dice.pick(raw.tensors);
  if (dice.chance(0.5)) {
    tensor.type = dice.chance(0.5) ? 26 : dice.between(0, 43);
    return `${tensor.name} has type ${tensor.type}`;
  }
  // every tensor of the type, its data laid out again
  const type = dice.pick([1, 8, 2, 24, 25, 26, 27, 28, 30, 9, 39, 40, 42]);
  const [block, size] = blocks[type]!;
  if (tensor.shape.some((dimension) => dimension > 2n ** 20n) || Number(tensor.shape[0] ?? 1n) % block !== 0)
    return "";
  tensor.type = type;
  let end = 0;
  for (const each of raw.tensors) {
    each.offset = BigInt(end);
    const [block, size] = blocks[each.type] ?? [1, 4];
    const elements = each.shape.reduce((product, dimension) => product * Number(dimension), 1);
    end += Math.ceil(((elements / block) * size) / 32) * 32;
  }
  if (end < 2 ** 24) raw.data = Buffer.concat([raw.data, Buffer.alloc(Math.max(0, end - raw.data.length))]);
  return `${tensor.name} rewritten as type ${type} (${size})`;
}

const blocks: Record<number, [elements: number, bytes: number]> = {
  0: [1, 4],
  1: [1, 2],
  2: [32, 18],
  8: [32, 34],
  9: [32, 36],
  24: [1, 1],
  25: [1, 2],
  26: [1, 4],
  27: [1, 8],
  28: [1, 8],
  30: [1, 2],
  39: [32, 17],
  40: [64, 36],
  42: [64, 18],
};

function changeTensorName(raw: RawGguf, dice: Dice): string {
  const tensor = dice.pick(raw.tensors);
  const before = tensor.name.toString();
  tensor.name = Buffer.from(
    dice.pick([...tensorNames, dice.pick(raw.tensors).name.toString(), "", "x".repeat(64)]),
  );
  return `${before} renamed ${tensor.name}`;
}

function changeData(raw: RawGguf, dice: Dice): string {
  const value = dice.pick(floats);
  for (let left = dice.between(1, 100); left > 0 && raw.data.length > 8; left--)
    raw.data.writeFloatLE(value, dice.between(0, raw.data.length - 4) & ~3);
  return `${value} in the weights`;
}

function scalar(key: Buffer, type: number, payload: Buffer): RawKey {
  return { key, type, elementType: type, count: 1n, payload };
}

function put(raw: RawGguf, entry: RawKey): void {
  const at = raw.keys.findIndex((key) => key.key.equals(entry.key));
  if (at >= 0) raw.keys[at] = entry;
  else raw.keys.push(entry);
}

function architectureOf(raw: RawGguf): string {
  return (
    raw.keys.find((key) => key.key.equals(Buffer.from("general.architecture")))?.payload.toString() ?? "llama"
  );
}

const numberKeys =
  "vocab_size context_length embedding_length embedding_length_out embedding_length_per_layer_input features_length " +
  "block_count leading_dense_block_count feed_forward_length expert_feed_forward_length " +
  "expert_shared_feed_forward_length expert_chunk_feed_forward_length expert_count expert_used_count " +
  "expert_shared_count expert_group_count expert_group_used_count expert_latent_length expert_gating_func " +
  "experts_per_group moe_every_n_layers moe_latent_size nextn_predict_layers n_deepstack_layers pooling_type " +
  "decoder_start_token_id decoder_block_count time_mix_extra_dim time_decay_extra_dim token_shift_count " +
  "rescale_every_n_layers interleave_moe_layer_step full_attention_interval num_loops attention.head_count " +
  "attention.head_count_kv attention.key_length attention.value_length attention.group_norm_groups " +
  "attention.q_lora_rank attention.kv_lora_rank attention.relative_buckets_count attention.sliding_window " +
  "attention.sliding_window_pattern attention.temperature_length attention.key_length_mla attention.value_length_mla " +
  "attention.key_length_swa attention.value_length_swa attention.indexer.head_count attention.indexer.key_length " +
  "attention.indexer.top_k attention.indexer.block_size attention.shared_kv_layers hyper_connection.count hash_layer_count " +
  "rope.dimension_count rope.dimension_count_swa rope.dimension_sections rope.scaling.original_context_length " +
  "ssm.conv_kernel ssm.inner_size ssm.state_size ssm.time_step_rank ssm.group_count kda.head_dim wkv.head_size " +
  "posnet.embedding_length posnet.block_count convnext.embedding_length convnext.block_count target_hidden_size " +
  "block_size shortconv.l_cache dense_2_feat_in dense_2_feat_out dense_3_feat_in dense_3_feat_out " +
  "general.alignment general.file_type general.quantization_version tokenizer.ggml.bos_token_id " +
  "tokenizer.ggml.eos_token_id tokenizer.ggml.eot_token_id tokenizer.ggml.eom_token_id " +
  "tokenizer.ggml.unknown_token_id tokenizer.ggml.seperator_token_id tokenizer.ggml.padding_token_id " +
  "tokenizer.ggml.mask_token_id tokenizer.ggml.fim_pre_token_id tokenizer.ggml.token_type_count " +
  "tokenizer.ggml.suppress_tokens";
const floatKeys =
  "attention.layer_norm_epsilon attention.layer_norm_rms_epsilon attention.group_norm_epsilon attention.max_alibi_bias " +
  "attention.clamp_kqv attention.scale attention.output_scale attention.value_scale attn_logit_softcapping " +
  "final_logit_softcapping router_logit_softcapping logit_scale embedding_scale residual_scale expert_weights_scale " +
  "rope.freq_base rope.freq_base_swa rope.scale_linear rope.scaling.factor rope.scaling.attn_factor rope.scaling.alpha " +
  "rope.scaling.yarn_log_multiplier rope.scaling.yarn_ext_factor rope.scaling.yarn_beta_fast " +
  "rope.scaling.yarn_beta_slow swiglu_clamp_exp attention.temperature_scale";
const booleanKeys =
  "attention.causal use_parallel_residual expert_weights_norm rope.scaling.finetuned swin_norm ssm.dt_b_c_rms " +
  "tokenizer.ggml.add_bos_token tokenizer.ggml.add_eos_token tokenizer.ggml.add_sep_token " +
  "tokenizer.ggml.add_space_prefix tokenizer.ggml.remove_extra_whitespaces";

const knownKeys: (readonly [name: string, type: number])[] = [
  ...numberKeys.split(" ").map((name) => [name, 4] as const),
  ...floatKeys.split(" ").map((name) => [name, 6] as const),
  ...booleanKeys.split(" ").map((name) => [name, 7] as const),
];

const knownTexts: (readonly [name: string, texts: string[]])[] = [
  [
    "tokenizer.ggml.model",
    [
      "llama",
      "bert",
      "gpt2",
      "hybriddna",
      "whitespace",
      "t5",
      "rwkv",
      "test",
      "plamo2",
      "gemma4",
      "no_vocab",
      "none",
      "",
    ],
  ],
  [
    "tokenizer.ggml.pre",
    ["default", "llama-bpe", "qwen2", "gpt-4o", "tekken", "kimi-k2", "whitespace", "unheard-of", ""],
  ],
  ["rope.scaling.type", ["none", "linear", "yarn", "longrope", "", "unheard-of"]],
  ["general.name", ["", "x".repeat(1_000_000), "%s%s%n", "\u0000\u0001\n"]],
  ["tokenizer.chat_template", ["", "{{ messages", "x".repeat(1_000_000), "{% for"]],
  ["general.type", ["model", "adapter", "mmproj", ""]],
];

const tensorNames = [
  "rope_freqs.weight",
  "output.weight",
  "output.bias",
  "blk.0.attn_q.bias",
  "blk.0.attn_qkv.weight",
  "blk.0.attn_q_norm.weight",
  "blk.0.ffn_gate_inp.weight",
  "blk.0.ffn_gate_exps.weight",
  "blk.5.attn_norm.weight",
  "blk.99999999999.attn_norm.weight",
  "blk.-1.attn_q.weight",
  "cls.weight",
  "cls.output.weight",
  "blk.0.rope_freqs.weight",
  "blk.0.attn_sinks.weight",
];
