import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";

const folder = new URL("../../fixtures/legacy/", import.meta.url);

export interface LegacyFixture {
  file: string;
  bytes: Buffer;
  /** What the original program continued the prompt with; absent where none could read the file rightly. */
  tokens?: number[];
}

/** The files that the programs of 2023 made; test/fixtures/legacy/README.md says how. */
export function legacyFixtures(): Map<string, LegacyFixture> {
  const list = JSON.parse(readFileSync(new URL("files.json", folder), "utf8")) as {
    file: string;
    bytes: number;
    tokens?: number[];
  }[];
  const all = brotliDecompressSync(readFileSync(new URL("files.br", folder)));
  let at = 0;
  return new Map(
    list.map(({ bytes, ...entry }) => {
      at += bytes;
      return [entry.file, { ...entry, bytes: all.subarray(at - bytes, at) }];
    }),
  );
}

/** The prompt that `tokens` continue: a beginning of sequence and " once upon a time" in the fixtures' vocabulary. */
export const fixturePrompt = [1, 3, 19, 18, 7, 9, 3, 25, 20, 19, 18, 3, 5, 3, 24, 13, 17, 9];
