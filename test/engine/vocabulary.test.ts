import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { tokensOf } from "../oracles/plain.js";
import { openStories } from "./harness.js";

let engine: Engine;
beforeAll(async () => {
  engine = await openStories();
});

/** Any text that UTF-8 can hold, of every width of character. */
const anyText = fc.string({ unit: "binary", maxLength: 60 });

describe("tokens of a text", () => {
  it("lead back to it, whatever it is", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const tokens = await engine.tokenize(text, { addSpecial: false, parseSpecial: false });
        expect(await engine.detokenize(tokens, { unparseSpecial: true })).toBe(text);
        // With a beginning-of-sequence token before it, libllama keeps the space that this vocabulary puts there.
        const whole = await engine.tokenize(text, { addSpecial: true, parseSpecial: false });
        expect(await engine.detokenize(whole, { removeSpecial: true })).toBe(text === "" ? "" : ` ${text}`);
      }),
      { numRuns: 300, examples: [[""], [" "], ["\0"], ["  a"], ["</s>"], ["\ufffd"]] },
    );
  });

  it("are those that libllama gives", async () => {
    const texts = fc.sample(anyText, { numRuns: 100, seed: 5 });
    const found = await Promise.all(texts.map((text) => engine.tokenize(text)));
    expect(found).toEqual(await tokensOf(texts));
  });

  it("have pieces whose bytes make up the text, a character split over tokens or not", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const tokens = await engine.tokenize(text, { addSpecial: false, parseSpecial: false });
        const pieces = await engine.pieces([...tokens]);
        const bytes = Buffer.concat(pieces.map((piece) => piece.bytes));
        // This vocabulary puts a space before every text.
        expect(bytes.toString()).toBe(text === "" ? "" : ` ${text}`);
        expect(pieces.map(({ token }) => token)).toEqual([...tokens]);
        expect(pieces.some(({ control }) => control)).toBe(false);
      }),
      { numRuns: 100 },
    );
  });

  it("are bytes where the vocabulary has no word", async () => {
    const tokens = await engine.tokenize("🙂", { addSpecial: false });
    const pieces = await engine.pieces([...tokens]);
    expect(pieces.filter(({ bytes }) => bytes.length === 1 && bytes[0]! >= 0x80)).toHaveLength(4);
  });

  it("may be very many", async () => {
    const text = "Once upon a time. ".repeat(20_000);
    const tokens = await engine.tokenize(text, { addSpecial: false });
    expect(await engine.detokenize(tokens)).toBe(text);
  });
});

describe("special tokens", () => {
  it("are added where asked", async () => {
    const { bos } = engine.info.model.tokens;
    const plain = await engine.tokenize("Once", { addSpecial: false });
    expect([...(await engine.tokenize("Once", { addSpecial: true }))]).toEqual([bos, ...plain]);
    expect([...(await engine.tokenize("", { addSpecial: true }))]).toEqual([bos]);
  });

  it("are parsed in a text only where asked", async () => {
    const { bos, eos, bosText, eosText } = engine.info.model.tokens;
    const text = `${bosText}a${eosText}`;
    const parsed = await engine.tokenize(text, { addSpecial: false, parseSpecial: true });
    expect([parsed[0], parsed.at(-1)]).toEqual([bos, eos]);
    const literal = await engine.tokenize(text, { addSpecial: false, parseSpecial: false });
    expect([...literal]).not.toContain(bos);
    expect([...literal]).not.toContain(eos);
  });

  it("are left out of the text, or spelt", async () => {
    const { bos, eos, bosText, eosText } = engine.info.model.tokens;
    const tokens = Int32Array.of(bos, ...(await engine.tokenize("Once", { addSpecial: false })), eos);
    expect(await engine.detokenize(tokens, { unparseSpecial: false })).not.toContain(bosText);
    const spelt = await engine.detokenize(tokens, { unparseSpecial: true });
    expect(spelt).toContain(bosText);
    expect(spelt).toContain(eosText);
  });

  it("are flagged: control tokens are no text, and one ends the generation", async () => {
    const { bos, eos } = engine.info.model.tokens;
    const all = await engine.pieces(Array.from({ length: engine.info.model.vocabularySize }, (_, i) => i));
    const control = all.filter((piece) => piece.control).map(({ token }) => token);
    const unknown = 0;
    expect(control).toEqual([unknown, bos, eos]);
    expect(all.filter((piece) => piece.endOfGeneration).map(({ token }) => token)).toEqual([eos]);
    const spelt = [bos, eos].map((token) => Buffer.from(all[token]!.bytes).toString());
    expect(await engine.controlTokens()).toEqual(spelt);
  });

  it("come to the parent with the token that is chosen first, once", async () => {
    const tokens = await engine.tokenize("Once upon a time");
    const step = () =>
      engine.step({
        memory: [{ kind: "clear" }],
        freeSamplers: [],
        runs: [{ sequence: 0, position: 0, tokens, outputs: 1, mode: "verify" }],
      });
    const first = await step();
    expect(first.pieces).toEqual(await engine.pieces([...first.chosen[0]!]));
    expect((await step()).pieces).toEqual([]);
  });
});
