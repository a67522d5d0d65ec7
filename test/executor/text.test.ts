import fc from "fast-check";
import { expect, it } from "vitest";
import { TextStream } from "../../src/executor/text.js";

// Texts whose characters take one to four bytes, and stop strings that such texts are likely to contain.
const characters = fc.constantFrom("a", "b", "c", " ", "\n", "é", "猫", "🙂", "</s>");
const texts = fc.array(characters, { maxLength: 40 }).map((parts) => parts.join(""));
const stops = fc.array(
  fc.array(characters, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
  {
    maxLength: 3,
  },
);
const cuts = fc.array(fc.nat(200), { maxLength: 60 });

/** Feeds a text's bytes in pieces; says what had come and what was shown after each piece, the end last. */
function feed(text: string, stop: string[], places: number[], trimStart = false) {
  const bytes = new TextEncoder().encode(text);
  const stream = new TextStream(stop, trimStart);
  const edges = [...new Set(places.filter((place) => place < bytes.length))].sort((a, b) => a - b);
  const states = [...edges, bytes.length].map((to, index) => {
    stream.add(bytes.subarray(edges[index - 1] ?? 0, to));
    const come = new TextDecoder().decode(bytes.subarray(0, to), { stream: true });
    return { come, shown: stream.text };
  });
  stream.end();
  return { states, text: stream.text };
}

/** The text up to the stop string that is complete first. */
function untilStop(text: string, stop: string[]): string | undefined {
  for (let end = 1; end <= text.length; end++) {
    const met = stop.filter((one) => text.slice(0, end).endsWith(one));
    if (met.length > 0) return text.slice(0, end - Math.max(...met.map(({ length }) => length)));
  }
  return undefined;
}

/** Length of the longest end of a text that begins a stop string. */
function begunStop(text: string, stop: string[]): number {
  const begun = stop.flatMap((one) =>
    Array.from({ length: one.length }, (_, length) => one.slice(0, length)),
  );
  return Math.max(0, ...begun.filter((start) => text.endsWith(start)).map(({ length }) => length));
}

it("gives the same text however its bytes are split, up to a stop string", () => {
  fc.assert(
    fc.property(texts, stops, cuts, (text, stop, places) => {
      expect(feed(text, stop, places).text).toBe(untilStop(text, stop) ?? text);
    }),
  );
});

it("shows at once all whole characters that cannot begin a stop string, and no others", () => {
  fc.assert(
    fc.property(texts, stops, cuts, (text, stop, places) => {
      for (const { come, shown } of feed(text, stop, places).states) {
        expect(shown).toBe(untilStop(come, stop) ?? come.slice(0, come.length - begunStop(come, stop)));
        expect(shown).not.toContain("\uFFFD");
      }
    }),
  );
});

it("leaves out the white space that a text begins with, and no other", () => {
  fc.assert(
    fc.property(texts, cuts, (text, places) => {
      expect(feed(text, [], places, true).text).toBe(text.trimStart());
    }),
  );
});

it("drops the bytes of a character that never ended", () => {
  const stream = new TextStream();
  stream.add(new TextEncoder().encode("chat 🙂").subarray(0, 7));
  stream.end();
  expect(stream.text).toBe("chat ");
});

it("shows what was held back when no stop string came of it", () => {
  const stream = new TextStream(["\nUser:"]);
  stream.add(new TextEncoder().encode("Hello\nUse"));
  expect(stream.text).toBe("Hello");
  stream.end();
  expect(stream.text).toBe("Hello\nUse");
});
