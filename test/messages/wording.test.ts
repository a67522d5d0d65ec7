import { expect, it } from "vitest";
import { ggufErrors } from "../../src/messages/gguf.js";
import { placed } from "../../src/messages/place.js";
import { weightsErrors } from "../../src/messages/weights.js";

it("a field that is the file itself is not named twice", () => {
  expect(placed({ path: "model/config.json", field: "rope_theta" })).toBe("model/config.json: rope_theta");
  expect(placed({ path: "model/config.json", field: "config.json" })).toBe("model/config.json");
  expect(placed({ path: "C:\\model\\config.json", field: "config.json" })).toBe("C:\\model\\config.json");
  expect(placed({ path: "model/config.json", field: "dim" }, " : ")).toBe("model/config.json : dim");
});

it("tensors are counted in the grammar of the language", () => {
  const facts = (others: number) => ({ path: "m", tensor: "a", others, architecture: "llama" });
  const [en, fr] = [weightsErrors.en["weights-unexpected"], weightsErrors.fr["weights-unexpected"]];
  expect([0, 1, 2].map((others) => en(facts(others)).what)).toEqual([
    'm: "a" has no place in a llama model',
    'm: "a" and 1 more tensor have no place in a llama model',
    'm: "a" and 2 more tensors have no place in a llama model',
  ]);
  expect([0, 1, 2].map((others) => fr(facts(others)).what)).toEqual([
    "m : « a » n'a pas sa place dans un modèle llama",
    "m : « a » et 1 autre tenseur n'ont pas leur place dans un modèle llama",
    "m : « a » et 2 autres tenseurs n'ont pas leur place dans un modèle llama",
  ]);
});

it("a file that ends early says what has no room in it", () => {
  const what = (field: string) =>
    ggufErrors.en["gguf-truncated"]({ path: "m.gguf", field, missingBytes: 1000, fileBytes: 100 }).what;
  expect(what("tensor_count")).toBe(
    "m.gguf: is not whole: it ends after 100 B, and the list of its tensors takes 1.0 kB more",
  );
  expect(what("output.weight")).toContain("and output.weight takes 1.0 kB more");
});
