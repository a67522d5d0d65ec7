import fc from "fast-check";
import { expect, it } from "vitest";
import { TokenList } from "../../src/executor/tokens.js";

const tokens = fc.array(fc.nat(3), { maxLength: 60 });

it("grows without losing a token", () => {
  fc.assert(
    fc.property(tokens, tokens, (first, later) => {
      const list = new TokenList(Int32Array.from(first));
      for (const token of later) list.push(token);
      const all = [...first, ...later];
      expect(list.length).toBe(all.length);
      expect([...list.view(0)]).toEqual(all);
      expect(all.map((_, index) => list.at(index))).toEqual(all);
    }),
  );
});

it("does not share its tokens with what it was made from", () => {
  const source = Int32Array.of(1, 2, 3);
  const list = new TokenList(source);
  source[0] = 9;
  expect(list.at(0)).toBe(1);
});

it("counts what two beginnings have in common", () => {
  fc.assert(
    fc.property(tokens, tokens, fc.nat(70), (one, other, length) => {
      const held = one.slice(0, length);
      let same = 0;
      while (same < held.length && same < other.length && held[same] === other[same]) same++;
      const list = new TokenList(Int32Array.from(one));
      expect(list.commonPrefix(Math.min(length, one.length), new TokenList(Int32Array.from(other)))).toBe(
        same,
      );
    }),
  );
});
