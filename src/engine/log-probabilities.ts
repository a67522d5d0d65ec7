/** Bytes of one scored position in a file of log-probabilities; see `BaseRows` of the host. */
export function bytesOfRow(vocabularySize: number): number {
  return 4 + Math.ceil(vocabularySize / 2) * 4;
}
