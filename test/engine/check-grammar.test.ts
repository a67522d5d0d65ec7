import { expect, it } from "vitest";
import { checkGrammar } from "../../src/engine/check-grammar.js";
import { defaultModelPath, load } from "../../src/model.js";

it.each([
  'root ::= "a"{5,2}',
  'root ::= "a"{ 5 ,\n 2 }',
  'root ::= ("a" [b-z]{1,3}){18446744073709551615,0}',
  'root ::= x{3,2} # {2,3}\nx ::= "\\"{2,3}"',
])("refuses %j", (text) => {
  expect(() => checkGrammar(text)).toThrow(expect.objectContaining({ code: "grammar-invalid" }));
});

it.each([
  'root ::= "a"{2,5} [0-9]{3} [a-z]{4,} "x"{2,2}',
  'root ::= "{5,2}" [{5,2}] # {5,2}',
  'root ::= "\\"{5,2}" [\\]{5,2}]',
])("takes %j", (text) => {
  checkGrammar(text);
});

it("keeps the engine from what would fill its memory", async () => {
  await using model = await load(defaultModelPath, { backend: "cpu" });
  const ask = (grammar: string) => model.complete("Once", { grammar, maxTokens: 4 }).result;
  await expect(ask('root ::= "a"{5,2}')).rejects.toMatchObject({ code: "grammar-invalid" });
  expect((await ask('root ::= "a"{2,2}')).text).toBe("aa");
});
