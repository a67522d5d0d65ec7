/**
 * Four bytes that each hold an element of `low` below one of `high`, from two stretches of four elements in pairs: their
 * lower 16 bits hold elements 0 and 1 in the first byte, 2 and 3 in the second. Blocks of four bits with neighbours in a
 * byte become blocks of halves by this, where `high` is half a block behind `low`.
 */
export function halvesOfPairs(low: number, high: number): number {
  const even = (low & 0x0f0f) | ((high & 0x0f0f) << 4);
  const odd = ((low >>> 4) & 0x0f0f) | (high & 0xf0f0);
  return ((even | (even << 8)) & 0x00ff00ff) | (((odd | (odd << 8)) & 0x00ff00ff) << 8);
}
