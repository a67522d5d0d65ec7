import { JaugeError } from "../errors.js";
import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import { type MixModel, type MixName, type MixOptions, mixes, tensorTypesOfMix } from "../quantize/mixes.js";
import { nearestNames } from "../quantize/nearest-names.js";
import { isQuantisable } from "../quantize/quantisable.js";
import type { ConvertibleModel, ConvertibleTensor } from "./model.js";

/** What types a person wants. */
export interface TypeWishes extends Omit<MixOptions, "importanceMatrix" | "inGivenOrder"> {
  /** `auto` keeps the source's 16-bit type, BF16 where it has none. */
  type: MixName | "auto";
  /** Quantise again what is quantised already, which loses more than quantising the original. */
  allowRequantize?: boolean;
}

/**
 * The type each tensor gets. Tensors whose type is not a matter of choice keep it; the others follow the mix, and
 * llama.cpp's order of counting. Errors: `requantise-refused`, `tensor-type-unfit`, `tensor-type-unmatched`,
 * `tensor-type-fixed`.
 */
export function targetTypes(
  model: ConvertibleModel,
  wishes: TypeWishes,
  rules: Pick<MixOptions, "importanceMatrix" | "inGivenOrder"> = {},
): TensorTypeName[] {
  const unquantised = model.tensors.map((tensor) => unquantisedType(tensor, wishes.type));
  const types =
    wishes.type === "auto"
      ? unquantised
      : tensorTypesOfMix(wishes.type, mixModelOf(model, unquantised), { ...wishes, ...rules });
  for (const [index, tensor] of model.tensors.entries()) {
    const { name, shape, keepAs, dequantisedFrom } = tensor;
    // a plain mix changes what a mix may, but where the source says what a plain file has, it has that
    const isPlain = wishes.type === "auto" || !tensorTypes[mixes[wishes.type]].quantised;
    const isNamed = wishes.tensorTypes?.some(({ pattern }) => new RegExp(pattern, "i").test(name)) ?? false;
    if (keepAs && !isNamed && (isPlain || tensorTypes[keepAs].quantised)) types[index] = keepAs;
    const type = types[index]!;
    if ((shape[0] ?? 1) % tensorTypes[type].blockElements !== 0)
      throw new JaugeError("tensor-type-unfit", { tensor: name, type, rowLength: shape[0] ?? 1 });
    const isAgain = dequantisedFrom ? tensorTypes[type].quantised : type !== tensor.type;
    const from = dequantisedFrom ?? tensor.type;
    if (isAgain && tensorTypes[from].quantised && !wishes.allowRequantize)
      throw new JaugeError("requantise-refused", { path: model.path, tensor: name, from, type });
  }
  checkWishes(model, types, wishes);
  return types;
}

/**
 * Refuses a wish that changes nothing: most likely it is misspelt, and hours later nobody would see why. Errors:
 * `tensor-type-unmatched`, `tensor-type-fixed`.
 */
function checkWishes(model: ConvertibleModel, types: readonly TensorTypeName[], wishes: TypeWishes): void {
  for (const { pattern, type } of wishes.tensorTypes ?? []) {
    const expression = new RegExp(pattern, "i");
    const matched = model.tensors.flatMap((tensor, index) => (expression.test(tensor.name) ? [index] : []));
    if (matched.length === 0) {
      const all = model.tensors.map(({ name }) => name);
      const names = nearestNames(pattern, all, 3);
      throw new JaugeError("tensor-type-unmatched", { path: model.path, pattern, type, names });
    }
    const refused = matched.find((index) => types[index] !== type);
    if (refused === undefined || matched.some((index) => isQuantisable(model.tensors[index]!))) continue;
    const { name } = model.tensors[refused]!;
    throw new JaugeError("tensor-type-fixed", { pattern, type, tensor: name, kept: types[refused]! });
  }
}

/** The type in a file that nothing was quantised in. */
function unquantisedType({ type, keepAs }: ConvertibleTensor, wished: MixName | "auto"): TensorTypeName {
  if (keepAs) return keepAs;
  if (wished === "F32" || wished === "F16" || wished === "BF16") return wished;
  return type === "F32" ? "BF16" : type;
}

/** What the rules of a mix look at. */
function mixModelOf(model: ConvertibleModel, types: readonly TensorTypeName[]): MixModel {
  const name = model.metadata.get("general.architecture");
  const architecture = name?.type === "string" ? name.value : "";
  const number = (key: string) => firstNumber(model, `${architecture}.${key}`);
  const heads = number("attention.head_count") ?? 0;
  return {
    architecture,
    layers: number("block_count") ?? 0,
    heads,
    kvHeads: number("attention.head_count_kv") ?? heads,
    experts: number("expert_count") ?? 0,
    tensors: model.tensors.map((tensor, index) => ({ ...tensor, type: types[index]! })),
  };
}

/** A number, or of an array that has one for each layer the first. */
function firstNumber({ metadata }: ConvertibleModel, key: string): number | undefined {
  const entry = metadata.get(key);
  if (!entry) return undefined;
  if (entry.type === "array") {
    const first = "items" in entry.value ? entry.value.items?.[0] : undefined;
    return first === undefined ? undefined : Number(first);
  }
  return Number(entry.value);
}
