import { expect, it } from "vitest";
import * as z from "zod";
import { isJaugeError } from "../src/errors.js";
import { firstProblem, parseJson } from "../src/json.js";

const problemOf = (text: string) => {
  try {
    return parseJson("plan.json", text);
  } catch (error) {
    return isJaugeError(error, "json-invalid") ? error.facts : error;
  }
};

it.each([
  ['{"a": 1,\n "b" 2}', "it breaks at line 2, column 6"],
  ['{"a":\n', "it ends in the middle"],
  [" \n", "it is empty"],
  ["\u0000\u0001", "it holds something else"],
])("says where %j breaks", (text, problem) => {
  expect(problemOf(text)).toEqual({ source: "plan.json", problem });
});

it("reads a text behind a byte order mark", () => {
  expect(parseJson("plan.json", '\uFEFF{"a": 1}')).toEqual({ a: 1 });
});

it("says of a field that it is missing, or what is there instead", () => {
  const schema = z.object({ devices: z.array(z.object({ name: z.string() })) });
  const problemIn = (value: unknown) => firstProblem(value, schema.safeParse(value).error!);
  expect(problemIn({})).toEqual({ field: "devices", problem: "is missing" });
  expect(problemIn({ devices: [{ name: "CUDA0" }, {}] })).toEqual({
    ...{ field: "devices.1.name", problem: "is missing" },
  });
  expect(problemIn({ devices: 1 }).problem).toBe("expected array, received number");
  expect(problemIn(null)).toEqual({ field: "JSON", problem: "expected object, received null" });
});
