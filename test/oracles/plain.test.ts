import { expect, it } from "vitest";
import { greedyTokens, logitsOf, tokensOf } from "./plain.js";
import { prompts } from "./prompts.js";

it("repeats itself, and its logits lead to its tokens", async () => {
  const once = await greedyTokens(prompts, 8);
  const again = await greedyTokens(prompts, 8);
  const logits = await logitsOf(prompts);
  expect(again).toEqual(once);
  expect(logits.map((row) => row.indexOf(Math.max(...row)))).toEqual(once.map(([first]) => first));
});

it("tells the story that the model's card quotes", async () => {
  const [story] = await greedyTokens(["Once upon a time"], 20);
  const [expected] = await tokensOf([
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.",
  ]);
  const [prompt] = await tokensOf(["Once upon a time"]);
  expect(story).toEqual([...expected!.slice(prompt!.length, prompt!.length + 20)]);
});
