import fc from "fast-check";
import { expect, it } from "vitest";
import { fitConversation } from "../../../src/executor/prompts/fit.js";
import { namedFormat } from "../../../src/executor/prompts/formats.js";
import { type Message, promptText, type RenderedPrompt } from "../../../src/executor/prompts/prompt.js";

const format = namedFormat("chatml");
const countTokens = async (prompt: RenderedPrompt) => promptText(prompt).length;

const text = fc.string({ minLength: 1, maxLength: 30 });
const conversations = fc
  .tuple(fc.option(text), fc.array(fc.tuple(text, text), { maxLength: 12 }), text)
  .map(([system, turns, last]): Message[] => [
    ...(system === null ? [] : [{ role: "system" as const, content: system }]),
    ...turns.flatMap(([user, assistant]) => [
      { role: "user" as const, content: user },
      { role: "assistant" as const, content: assistant },
    ]),
    { role: "user" as const, content: last },
  ]);

it("keeps the system prompt, the last message and as many of the latest turns as fit", async () => {
  await fc.assert(
    fc.asyncProperty(conversations, fc.nat(800), fc.nat(100), async (messages, contextLength, reserve) => {
      const turns = messages.filter((message) => message.role === "user").length;
      const system = messages.filter((message) => message.role === "system");
      const spoken = messages.slice(system.length);
      const keeping = (dropped: number) => [...system, ...spoken.slice(2 * dropped)];
      const sizes = await Promise.all(
        Array.from({ length: turns }, async (_, dropped) =>
          countTokens(await format.render(keeping(dropped))),
        ),
      );
      const fewest = sizes.findIndex((size) => size <= contextLength - reserve);

      let counted = 0;
      const fitted = fitConversation(format, messages, {
        contextLength,
        reserve,
        countTokens: (prompt) => {
          counted++;
          return countTokens(prompt);
        },
      });
      if (fewest < 0) {
        await expect(fitted).rejects.toMatchObject({
          code: "prompt-too-long",
          facts: { tokens: sizes.at(-1), contextLength },
        });
      } else {
        const { droppedTurns, messages: kept, prompt, tokens } = await fitted;
        expect(droppedTurns).toBe(fewest);
        expect(kept).toEqual(keeping(fewest));
        expect(tokens).toBe(sizes[fewest]);
        expect(promptText(prompt).length).toBe(tokens);
      }
      expect(counted).toBeLessThanOrEqual(6);
    }),
  );
});

it("counts once when everything fits", async () => {
  let counted = 0;
  await fitConversation(format, [{ role: "user", content: "Hi" }], {
    contextLength: 100,
    reserve: 10,
    countTokens: async () => ++counted,
  });
  expect(counted).toBe(1);
});

it("drops a turn with all its messages", async () => {
  const messages: Message[] = [
    { role: "assistant", content: "Welcome" },
    { role: "user", content: "a" },
    { role: "user", content: "b" },
    { role: "assistant", content: "c" },
    { role: "user", content: "d" },
  ];
  const fitted = await fitConversation(namedFormat("raw"), messages, {
    contextLength: 4,
    reserve: 0,
    countTokens,
  });
  expect(fitted.droppedTurns).toBe(2);
  expect(fitted.messages).toEqual([{ role: "user", content: "d" }]);
});
