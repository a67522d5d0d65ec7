import { encodeMetadata, encodeString, uint32, uint64, type WritableMetadata } from "./encode.js";
import { longestTensorName, type TensorTypeName, tensorBytes, tensorTypes } from "./tensor-types.js";

/** A tensor as a header lists it. */
export interface TensorShape {
  name: string;
  type: TensorTypeName;
  /** Row length first. */
  shape: readonly number[];
}

/** Where everything behind the header of a GGUF file lies. */
export interface GgufLayout {
  alignment: number;
  /** Bytes and offset of each tensor, from the start of the tensor data. */
  tensors: { bytes: number; offset: number }[];
  totalBytes: number;
  /** Where the data end, padding included. */
  end: number;
}

/**
 * Lays tensors out one right behind the other, as llama.cpp wants them. RangeError where a name or a shape cannot be
 * written.
 */
export function layoutOf(tensors: readonly TensorShape[], alignment = 32): GgufLayout {
  let end = 0;
  const names = new Set<string>();
  const placed = tensors.map(({ name, type, shape }) => {
    const nameBytes = Buffer.byteLength(name);
    if (nameBytes === 0 || nameBytes > longestTensorName || name.includes("\0") || names.has(name))
      throw new RangeError(`${JSON.stringify(name)} cannot name a tensor, or does already`);
    names.add(name);
    const bytes = tensorBytes(type, shape);
    if (bytes === undefined) throw new RangeError(`${name}: [${shape.join(", ")}] is no shape for ${type}`);
    const offset = end;
    end += Math.ceil(bytes / alignment) * alignment;
    return { bytes, offset };
  });
  const totalBytes = placed.reduce((sum, tensor) => sum + tensor.bytes, 0);
  return { alignment, tensors: placed, totalBytes, end };
}

/** The bytes of a header of version 3 in pieces, padded to where the tensor data start. */
export async function* encodeHeader(
  contents: { metadata: WritableMetadata; tensors: readonly TensorShape[] },
  layout: GgufLayout,
): AsyncGenerator<Uint8Array> {
  const { alignment } = layout;
  const metadata = new Map(contents.metadata.entries());
  metadata.delete("general.alignment");
  if (alignment !== 32) metadata.set("general.alignment", { type: "uint32", value: alignment });
  let bytes = 0;
  const counted = (piece: Uint8Array) => {
    bytes += piece.byteLength;
    return piece;
  };
  yield counted(Buffer.from("GGUF", "latin1"));
  yield counted(uint32(3));
  yield counted(uint64(contents.tensors.length));
  yield counted(uint64(metadata.size));
  for await (const piece of encodeMetadata(metadata)) yield counted(piece);
  for (const [index, { name, type, shape }] of contents.tensors.entries()) {
    yield counted(encodeString(name));
    yield counted(uint32(shape.length));
    for (const dimension of shape) yield counted(uint64(dimension));
    yield counted(uint32(tensorTypes[type].id));
    yield counted(uint64(layout.tensors[index]!.offset));
  }
  const over = bytes % alignment;
  if (over !== 0) yield Buffer.alloc(alignment - over);
}
