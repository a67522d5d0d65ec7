import { Metadata, type MetadataValue } from "../src/gguf/metadata.js";
import type { TensorTypeName } from "../src/gguf/tensor-types.js";
import { HeaderSource } from "../src/planner/sources/header-source.js";
import { placed, requantised } from "../src/planner/sources/requantised.js";
import type { MixName } from "../src/quantize/mixes.js";

type Shape = readonly [name: string, ...shape: number[]];

const stateSize = 16;
const kernel = 4;
const experts = 8;
const vocabulary = 32_000;

/**
 * A model with recurrent state: `mamba` in every layer, or `jamba`, where every fourth layer has attention and every
 * second one experts. Source of the tensors: src/models/mamba.cpp and jamba.cpp of llama.cpp v0.5.0.
 */
export function stateSpaceSource(
  architecture: "mamba" | "jamba",
  { hidden, layers }: { hidden: number; layers: number },
  mix: MixName,
): HeaderSource {
  const isHybrid = architecture === "jamba";
  const tensors: Shape[] = [
    ["token_embd.weight", hidden, vocabulary],
    ...Array.from({ length: layers }, (_, index) =>
      (isHybrid ? hybridLayer(hidden, index) : recurrentLayer(hidden, false)).map(
        ([name, ...shape]): Shape => [`blk.${index}.${name}`, ...shape],
      ),
    ).flat(),
    ["output_norm.weight", hidden],
    ...(isHybrid ? ([["output.weight", hidden, vocabulary]] as const) : []),
  ];
  const source = new HeaderSource({
    source: architecture,
    metadata: metadataOf(architecture, hidden, layers),
    tensors: placed(
      tensors.map(([name, ...shape]) => ({ name, shape, type: typeOf(name, shape) })),
      32,
    ),
    alignment: 32,
  });
  return requantised(source, mix);
}

function metadataOf(architecture: string, hidden: number, layers: number): Metadata {
  const isHybrid = architecture === "jamba";
  const numbers: Record<string, number> = {
    context_length: 16_384,
    embedding_length: hidden,
    block_count: layers,
    "ssm.conv_kernel": kernel,
    "ssm.inner_size": 2 * hidden,
    "ssm.state_size": stateSize,
    "ssm.time_step_rank": hidden / 16,
    feed_forward_length: isHybrid ? hidden * 2 : 0,
    "attention.head_count": isHybrid ? hidden / 64 : 0,
    vocab_size: vocabulary,
    ...(isHybrid && { expert_count: experts, expert_used_count: 2 }),
  };
  const items = Array.from({ length: layers }, (_, layer) => (hasAttention(layer) ? 2 : 0));
  const kvHeads: MetadataValue = {
    type: "array",
    value: { elementType: "uint32", count: layers, path: "", fileOffset: 0, bytes: 4 * layers, items },
  };
  return new Metadata(
    architecture,
    new Map<string, MetadataValue>([
      ["general.architecture", { type: "string", value: architecture }],
      ...Object.entries(numbers).map(([key, value]): [string, MetadataValue] => [
        `${architecture}.${key}`,
        { type: "uint32", value },
      ]),
      [`${architecture}.attention.layer_norm_rms_epsilon`, { type: "float32", value: 1e-5 }],
      ...(isHybrid ? [[`${architecture}.attention.head_count_kv`, kvHeads] as const] : []),
    ]),
  );
}

function hasAttention(layer: number): boolean {
  return layer % 4 === 2;
}

function hybridLayer(hidden: number, index: number): Shape[] {
  const inner = 2 * hidden;
  const attention: Shape[] = [
    ["attn_norm.weight", hidden],
    ["attn_q.weight", hidden, hidden],
    ["attn_k.weight", hidden, 128],
    ["attn_v.weight", hidden, 128],
    ["attn_output.weight", hidden, hidden],
  ];
  const mixture: Shape[] = [
    ["ffn_gate_inp.weight", hidden, experts],
    ["ffn_gate_exps.weight", hidden, inner, experts],
    ["ffn_down_exps.weight", inner, hidden, experts],
    ["ffn_up_exps.weight", hidden, inner, experts],
  ];
  const dense: Shape[] = [
    ["ffn_gate.weight", hidden, inner],
    ["ffn_down.weight", inner, hidden],
    ["ffn_up.weight", hidden, inner],
  ];
  return [
    ...(hasAttention(index) ? attention : recurrentLayer(hidden, true)),
    ["ffn_norm.weight", hidden],
    ...(index % 2 === 1 ? mixture : dense),
  ];
}

function recurrentLayer(hidden: number, hasNorms: boolean): Shape[] {
  const [inner, rank] = [2 * hidden, hidden / 16];
  const norms: Shape[] = [
    ["ssm_dt_norm.weight", rank],
    ["ssm_b_norm.weight", stateSize],
    ["ssm_c_norm.weight", stateSize],
  ];
  return [
    ["attn_norm.weight", hidden],
    ["ssm_in.weight", hidden, 2 * inner],
    ["ssm_conv1d.weight", kernel, inner],
    ["ssm_conv1d.bias", inner],
    ["ssm_x.weight", inner, rank + 2 * stateSize],
    ["ssm_dt.weight", rank, inner],
    ["ssm_dt.bias", inner],
    ["ssm_a", stateSize, inner],
    ["ssm_d", inner],
    ["ssm_out.weight", inner, hidden],
    ...(hasNorms ? norms : []),
  ];
}

/** As the converter writes them: what the state-space operations read directly stays in F32. */
function typeOf(name: string, shape: readonly number[]): TensorTypeName {
  const isMatrix =
    shape.length > 1 && name.endsWith(".weight") && !/_norm|ssm_conv1d|ffn_gate_inp/.test(name);
  return isMatrix ? "F16" : "F32";
}
