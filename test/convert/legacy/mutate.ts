/** Some bytes changed, cut out or put in, most often in the header and the lists. */
export function mutant(original: Buffer, random: () => number): Buffer {
  let bytes = Buffer.from(original);
  const between = (low: number, high: number) => low + Math.floor(random() * (high - low + 1));
  for (let changes = between(1, 3); changes > 0; changes--) {
    const at = random() < 0.4 ? between(0, 40) : between(0, bytes.length - 8);
    const way = between(0, 3);
    if (way === 0) bytes[at] = between(0, 255);
    else if (way === 1) bytes.writeUInt32LE([0, 1, 2, 255, 0x7fffffff, 0xffffffff][between(0, 5)]!, at);
    else if (way === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + between(1, 64))]);
    else bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(between(1, 64), 7), bytes.subarray(at)]);
  }
  return bytes;
}
