// An answer that is JSON of a given schema, for certain: the sampler takes only tokens that keep to it.
//   node json-schema.mjs [MODEL.gguf]
import { defaultModelPath, load } from "jauge";

const model = await load(process.argv[2] ?? defaultModelPath);
try {
  const jsonSchema = {
    type: "object",
    properties: {
      name: { enum: ["Lily", "Tim", "Spot"] },
      age: { type: "integer", minimum: 1, maximum: 12 },
      toys: { type: "array", items: { enum: ["ball", "doll", "car"] }, minItems: 1, maxItems: 3 },
    },
    required: ["name", "age", "toys"],
    additionalProperties: false,
  };
  const { text } = await model.complete("A child and its toys: ", { jsonSchema, seed: 7 }).result;
  console.log(JSON.parse(text));
} finally {
  await model.close();
}
