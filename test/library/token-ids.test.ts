import { afterAll, beforeAll, expect, it } from "vitest";
import { defaultModelPath, load, type Model } from "../../src/index.js";

let model: Model;
beforeAll(async () => {
  model = await load(defaultModelPath, { backend: "cpu", threads: 1 });
});
afterAll(() => model.close());

const unknown = { code: "token-unknown", facts: { token: 512, vocabularySize: 512 } };

it("refuses token ids that the model does not have, and stays alive", async () => {
  await expect(model.tokenTexts([512])).rejects.toMatchObject(unknown);
  await expect(model.detokenize([1, 512])).rejects.toMatchObject(unknown);
  await expect(model.generate({ tokens: [1, 512] }).result).rejects.toMatchObject(unknown);
  await expect(model.tokenTexts([-1])).rejects.toMatchObject({ code: "token-unknown" });
  const process = model.hostProcessId;
  await model.complete("Once", { maxTokens: 2 }).result;
  expect(model.hostProcessId).toBe(process);
});

it("takes ids as plain arrays, and settings that are not given from the defaults", async () => {
  const tokens = [...(await model.tokenize("Once upon a time"))];
  expect(await model.detokenize(tokens)).toContain("Once upon a time");
  const generated = await model.generate({ tokens, sampling: { temperature: 0 }, maxTokens: 5 }).result;
  const completed = await model.complete("Once upon a time", { temperature: 0, maxTokens: 5 }).result;
  expect(generated.tokens).toEqual(completed.tokens);
});

it("refuses a backend that does not exist", async () => {
  await expect(load(defaultModelPath, { backend: "opengl" as never })).rejects.toMatchObject({
    code: "backend-unknown",
  });
});
