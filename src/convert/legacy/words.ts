/** One stretch of memory under the views that block loops read and write it by. It starts at a multiple of four. */
export interface Words {
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Uint32Array;
  readonly floats: Float32Array;
}

/** Views of all whole words of `bytes`; undefined where it does not start at a multiple of four. */
export function wordsOf(bytes: Uint8Array): Words | undefined {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteOffset % 4 !== 0) return undefined;
  return {
    bytes,
    halves: new Uint16Array(buffer, byteOffset, byteLength >>> 1),
    words: new Uint32Array(buffer, byteOffset, byteLength >>> 2),
    floats: new Float32Array(buffer, byteOffset, byteLength >>> 2),
  };
}

/** Buffers that are used again, as many as were ever needed at once. */
export class WordsPool {
  private readonly free: Words[] = [];

  constructor(readonly bytes: number) {}

  take(): Words {
    return this.free.pop() ?? wordsOf(new Uint8Array(this.bytes))!;
  }

  give(words: Words): void {
    this.free.push(words);
  }
}
