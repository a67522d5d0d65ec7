import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import type { MixModel, MixName, MixTensor } from "./mix-table.js";

/**
 * Chooses the type of each quantisable tensor; asked in llama.cpp's order, because it counts. Which tensors get more
 * bits, and why, is llama.cpp's experience, not arithmetic: the conditions below are its own.
 *
 * Source: `llama_tensor_get_type_impl` in src/llama-quant.cpp of llama.cpp v0.5.0.
 */
export class MixRules {
  private readonly isTied: boolean;
  private readonly isFalcon: boolean;
  private readonly hasEightExperts: boolean;
  /** Query heads per KV head. */
  private readonly sharing: number;
  private readonly valueTensors: number;
  private valuesSeen = 0;
  private readonly seen = { ffnDown: 0, ffnGate: 0, ffnUp: 0 };

  constructor(
    private readonly mix: MixName,
    private readonly usual: TensorTypeName,
    private readonly model: MixModel,
    private readonly importanceMatrix: boolean,
    /** Asked for the output matrix, and for the embedding where it serves as one. */
    private readonly outputType?: TensorTypeName,
  ) {
    const categories = model.tensors.map(({ name }) => categoryOf(name));
    this.isTied = !categories.includes("output");
    this.isFalcon = model.architecture === "falcon";
    this.hasEightExperts = model.experts === 8;
    this.sharing = model.kvHeads > 0 ? Math.floor(model.heads / model.kvHeads) : 0;
    this.valueTensors = categories.filter((category) => category === "value").length;
  }

  typeOf(tensor: MixTensor): TensorTypeName {
    const category = categoryOf(tensor.name);
    // a model without an output matrix computes with its embedding twice: the finer type of the two
    if (category === "output" || (this.isTied && category === "embedding")) return this.output(tensor);
    if (this.mix === "MXFP4_MOE") return this.mxfp4(tensor, category);
    if (category === "embedding") return this.embedding();
    if (this.isOneOf("IQ2_XXS IQ2_XS IQ2_S IQ2_M IQ1_S IQ1_M")) return this.underThreeBits(category);
    switch (category) {
      case "value":
        return this.value();
      case "key":
        return this.hasEightExperts ? "Q8_0" : this.queryOrKey();
      case "query":
        return this.queryOrKey();
      case "ffnDown":
        return this.ffnDown(this.layerOf(tensor, "ffnDown"));
      case "attentionOutput":
        return this.attentionOutput();
      case "ffnGate":
      case "ffnUp":
        return this.ffnInner(this.layerOf(tensor, category));
      default:
        return this.usual;
    }
  }

  private output(tensor: MixTensor): TensorTypeName {
    if (this.outputType) return this.outputType;
    const fits = tensor.shape[0]! % tensorTypes[this.usual].blockElements === 0;
    if (this.mix === "MXFP4_MOE" || this.isFalcon || !fits) return "Q8_0";
    if (this.isOneOf("IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ2_S IQ2_M IQ1_M")) return "Q5_K";
    return this.usual === "Q8_0" ? "Q8_0" : "Q6_K";
  }

  private embedding(): TensorTypeName {
    if (this.isOneOf("IQ2_XXS IQ2_XS IQ1_S IQ1_M")) return "Q2_K";
    if (this.isOneOf("IQ2_S IQ2_M IQ3_XXS")) return "IQ3_S";
    if (this.isOneOf("TQ1_0 TQ2_0 Q2_0")) return "Q4_K";
    return this.usual;
  }

  /** Stacked experts; matrices of latent attention are stacks too, and count as experts but in one architecture. */
  private mxfp4(tensor: MixTensor, category: Category): TensorTypeName {
    const isStack = (tensor.shape[2] ?? 1) > 1;
    const isFeedForward = category === "ffnUp" || category === "ffnGate" || category === "ffnDown";
    return isStack && (this.model.architecture !== "bailingmoe3" || isFeedForward) ? "MXFP4" : "Q8_0";
  }

  private underThreeBits(category: Category): TensorTypeName {
    const isIq2 = this.isOneOf("IQ2_S IQ2_M");
    switch (category) {
      case "value":
        if (this.sharing >= 4 || this.model.experts >= 4) return "Q4_K";
        return isIq2 ? "IQ3_S" : "Q2_K";
      case "key":
        return this.hasEightExperts ? "Q4_K" : this.usual;
      case "ffnDown":
        if (this.seen.ffnDown++ >= Math.floor(this.model.layers / 8)) return this.usual;
        return isIq2 ? "IQ3_S" : "Q2_K";
      case "attentionOutput":
        if (this.hasEightExperts) return "Q5_K";
        if (this.isOneOf("IQ1_S IQ1_M")) return "IQ2_XXS";
        return isIq2 ? "IQ3_S" : this.usual;
      default:
        return this.usual;
    }
  }

  /** `attn_v`, or the matrix that it is a part of. */
  private value(): TensorTypeName {
    const type = this.valueType(this.valuesSeen++);
    if (this.hasEightExperts) return "Q8_0";
    return (type === "Q3_K" || type === "Q4_K") && isSeventyBillion(this.model) ? "Q5_K" : type;
  }

  private valueType(index: number): TensorTypeName {
    const { mix, usual, sharing } = this;
    if (mix === "Q2_K") return sharing >= 4 ? "Q4_K" : "Q3_K";
    if (mix === "Q2_K_S") return sharing >= 4 ? "Q4_K" : usual;
    if (mix === "IQ3_XXS") return sharing >= 4 ? "Q4_K" : this.importanceMatrix ? "IQ3_XXS" : "IQ3_S";
    if (mix === "IQ3_XS" || mix === "IQ3_S") return sharing >= 4 ? "Q4_K" : usual;
    if (mix === "IQ3_M") return "Q4_K";
    if (mix === "Q3_K_M") return index < 2 ? "Q5_K" : "Q4_K";
    if (mix === "Q3_K_L") return "Q5_K";
    if (mix === "IQ4_NL" || mix === "IQ4_XS") return sharing >= 4 ? "Q5_K" : usual;
    if (mix === "Q4_K_M" || mix === "Q5_K_M") return wantsMoreBits(index, this.valueTensors) ? "Q6_K" : usual;
    if (mix === "Q4_K_S") return index < 4 ? "Q5_K" : usual;
    return usual;
  }

  private queryOrKey(): TensorTypeName {
    if (this.mix === "IQ3_XS") return "IQ3_XXS";
    return this.mix === "IQ3_XXS" ? "IQ2_S" : this.usual;
  }

  private ffnDown(layer: number): TensorTypeName {
    const { mix, usual, isFalcon, importanceMatrix } = this;
    const { layers } = this.model;
    const isInFirst = (part: number) => layer < Math.floor(layers / part);
    const more = wantsMoreBits(layer, layers);
    switch (mix) {
      case "Q2_K":
        return "Q3_K";
      case "Q2_K_S":
        return isInFirst(8) ? "Q4_K" : usual;
      case "IQ3_XXS":
        if (importanceMatrix) return usual;
        return isInFirst(8) ? "Q4_K" : "Q3_K";
      case "Q3_K_M":
        if (isInFirst(16)) return "Q5_K";
        return !isFalcon || more ? "Q4_K" : "Q3_K";
      case "IQ3_M":
        return isInFirst(8) || (this.hasEightExperts && more) ? "Q4_K" : usual;
      case "Q3_K_L":
        return isFalcon ? "Q4_K" : "Q5_K";
      case "Q4_K_M":
        if (isFalcon) return isInFirst(16) ? "Q6_K" : more ? "Q5_K" : "Q4_K";
        return more ? "Q6_K" : usual;
      case "IQ4_NL":
      case "IQ4_XS":
        return isInFirst(8) && !importanceMatrix ? "Q5_K" : usual;
      case "Q5_K_M":
        return more ? "Q6_K" : usual;
      case "Q4_K_S":
        return !isFalcon && isInFirst(8) ? "Q5_K" : usual;
      case "Q4_0":
        return importanceMatrix && isInFirst(8) ? "Q4_1" : usual;
      case "Q5_0":
        return importanceMatrix && isInFirst(8) ? "Q5_1" : usual;
      default:
        return usual;
    }
  }

  private attentionOutput(): TensorTypeName {
    if (this.isFalcon) return this.mix === "Q3_K_L" ? "Q4_K" : this.usual;
    if (this.hasEightExperts) {
      const finer = "Q2_K IQ3_XS IQ3_XXS Q3_K_S Q3_K_M IQ4_NL Q4_K_S Q4_K_M IQ3_S IQ3_M IQ4_XS";
      return this.isOneOf(finer) ? "Q5_K" : this.usual;
    }
    if (this.mix === "Q2_K") return "Q3_K";
    if (this.mix === "IQ3_XXS") return "IQ3_S";
    if (this.mix === "Q3_K_M" || this.mix === "IQ3_M") return "Q4_K";
    return this.mix === "Q3_K_L" ? "Q5_K" : this.usual;
  }

  /** `ffn_gate` and `ffn_up`. */
  private ffnInner(layer: number): TensorTypeName {
    const { layers } = this.model;
    const isInMiddle = layer >= Math.floor(layers / 8) && layer < Math.floor((7 * layers) / 8);
    return this.mix === "IQ3_XS" && isInMiddle ? "IQ3_XXS" : this.usual;
  }

  /** Counted; by name where a layer has several of a kind (its experts, the shared ones). */
  private layerOf(tensor: MixTensor, kind: keyof MixRules["seen"]): number {
    const counted = this.seen[kind]++;
    if (this.model.experts <= 1) return counted;
    return Number(/^blk\.(\d+)\./.exec(tensor.name)?.[1] ?? counted);
  }

  private isOneOf(names: string): boolean {
    return names.split(" ").includes(this.mix);
  }
}

/** The first and last eighth of the layers, and every third between. */
function wantsMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

/** What llama.cpp takes for a 70 B model (LLM_TYPE_70B in src/models/*.cpp): it has few, precious value matrices. */
function isSeventyBillion({ architecture, layers, heads, kvHeads }: MixModel): boolean {
  if (architecture === "jais2") return layers === 68;
  if (layers !== 80) return false;
  if (architecture === "llama" || architecture === "llama-embed") return heads !== kvHeads;
  return ["qwen2", "deci", "olmo"].includes(architecture);
}

type Category =
  | "output"
  | "embedding"
  | "value"
  | "key"
  | "query"
  | "attentionOutput"
  | "ffnUp"
  | "ffnGate"
  | "ffnDown"
  | "other";

/** By name, as `tensor_get_category` does; `attn_qkv` and `attn_kv_b` are as delicate as the values in them. */
function categoryOf(name: string): Category {
  if (name === "output.weight") return "output";
  if (isEmbedding(name)) return "embedding";
  if (/attn_(qkv|kv_b|v)\.weight/.test(name)) return "value";
  if (name.includes("attn_k.weight")) return "key";
  if (name.includes("attn_q.weight")) return "query";
  if (name.includes("attn_output.weight")) return "attentionOutput";
  if (name.includes("ffn_up")) return "ffnUp";
  if (name.includes("ffn_gate")) return "ffnGate";
  return name.includes("ffn_down") ? "ffnDown" : "other";
}

/** Whether a tensor embeds tokens, for all layers or for each. */
export function isEmbedding(name: string): boolean {
  return name === "token_embd.weight" || name === "per_layer_token_embd.weight";
}
