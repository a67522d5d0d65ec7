/** PyTorch has no tensors of more; every dimension costs a level of recursion. */
const mostDimensions = 64;

/** Elements of a tensor, 1 for a scalar; undefined where it is no shape, or more than can be counted in bytes. */
export function countElements(shape: readonly unknown[]): number | undefined {
  if (shape.length > mostDimensions) return undefined;
  let elements = 1;
  let isEmpty = false;
  for (const size of shape) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return undefined;
    if (size === 0) isEmpty = true;
    else elements *= size;
    // eight bytes are the longest element
    if (elements * 8 > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return isEmpty ? 0 : elements;
}
