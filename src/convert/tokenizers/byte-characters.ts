/**
 * The printable character that byte-level vocabularies write for each byte: itself where Latin-1 has a visible one,
 * else the next unused one from U+0100 on.
 * Source: `bytes_to_unicode` of GPT-2's encoder.
 */
export const byteCharacters: readonly string[] = (() => {
  const isVisible = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isVisible(byte) ? byte : next++));
})();
