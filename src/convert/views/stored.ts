import { type StoredTensor, type StoredType, storedBytes } from "../checkpoint.js";
import { type Decoder, decoded, decoders } from "./decoded.js";
import type { View, ViewType } from "./view.js";

const passedOn: Partial<Record<StoredType, ViewType>> = { F32: "F32", F16: "F16", BF16: "BF16", U8: "U8" };
const widened: Partial<Record<StoredType, Decoder>> = {
  F64: decoders.F64,
  F8_E4M3: decoders.F8_E4M3,
  F8_E5M2: decoders.F8_E5M2,
};

/** Whether a tensor of this type can be read as weights. */
export function isFloat(type: StoredType): boolean {
  return type in widened || (type in passedOn && type !== "U8");
}

/**
 * A stored tensor in rows of `rowElements`, whatever its dimensions. F64 and F8 come as F32; other integers than
 * bytes are a RangeError.
 */
export function storedView(tensor: StoredTensor, rowElements: number): View {
  const elements = tensor.shape.reduce((product, size) => product * size, 1);
  if (rowElements < 1 || elements % rowElements !== 0)
    throw new RangeError(`${tensor.name}: ${elements} elements in rows of ${rowElements}`);
  const raw = {
    rows: elements / rowElements,
    rowBytes: rowElements * storedBytes[tensor.type],
    readRows: (target: Uint8Array, firstRow: number) => tensor.read(target, firstRow * rowElements),
  };
  const type = passedOn[tensor.type];
  if (type) return { type, ...raw };
  const decoder = widened[tensor.type];
  if (!decoder) throw new RangeError(`${tensor.name}: weights of type ${tensor.type}`);
  return decoded(raw, decoder);
}
