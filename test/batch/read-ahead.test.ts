import fc from "fast-check";
import { expect, test } from "vitest";
import { ReadAhead } from "../../src/batch/input/read-ahead.js";

const bytes = (text: string) => Buffer.from(text);
const text = (chunks: Uint8Array[]) => Buffer.concat(chunks).toString();

async function all(ahead: ReadAhead): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of ahead.rest()) chunks.push(chunk);
  return text(chunks);
}

test("what was read ahead is handed on, whole and in order", async () => {
  const parts = fc.array(fc.stringMatching(/^[ab\n]{1,12}$/), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(parts, fc.boolean(), async (chunks, isBegun) => {
      async function* stream() {
        for (const chunk of chunks) yield bytes(chunk);
      }
      const ahead = new ReadAhead(stream());
      const rest = ahead.rest();
      const first = isBegun ? await rest.next() : undefined;
      const glance = await ahead.glance();
      expect(glance.isWhole).toBe(true);
      expect(text(glance.chunks)).toBe(chunks.join(""));
      const others: Uint8Array[] = [];
      for await (const chunk of rest) others.push(chunk);
      expect(text([...(first?.value ? [first.value] : []), ...others])).toBe(chunks.join(""));
    }),
    { numRuns: 50 },
  );
});

test("a pipe that pauses is looked at up to its last whole line, and waited for before its first", async () => {
  let resume = () => {};
  const paused = new Promise<void>((resolve) => {
    resume = resolve;
  });
  async function* stream() {
    yield bytes("be");
    await new Promise((resolve) => setTimeout(resolve, 20));
    yield bytes("gin\nsecond\nthi");
    await paused;
    yield bytes("rd\n");
  }
  const ahead = new ReadAhead(stream());
  const glance = await ahead.glance();
  expect(glance.isWhole).toBe(false);
  expect(text(glance.chunks)).toBe("begin\nsecond\n");
  resume();
  expect(await all(ahead)).toBe("begin\nsecond\nthird\n");
});

test("no more than its bounds is kept", async () => {
  const line = bytes(`${"x".repeat(999_999)}\n`);
  let given = 0;
  async function* stream() {
    for (; given < 100; given++) yield line;
  }
  const { chunks, isWhole } = await new ReadAhead(stream()).glance();
  expect(isWhole).toBe(false);
  expect(chunks).toHaveLength(32);
  expect(given).toBeLessThan(34);
});

test("an error is that of who reads the rest", async () => {
  async function* stream() {
    yield bytes("one\n");
    throw new Error("broken pipe");
  }
  const ahead = new ReadAhead(stream());
  expect(await ahead.glance()).toMatchObject({ isWhole: false });
  await expect(all(ahead)).rejects.toThrow("broken pipe");
});
