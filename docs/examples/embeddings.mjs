// Texts as vectors: which two mean the most alike?
//   node embeddings.mjs [MODEL.gguf]
import { defaultModelPath, load } from "jauge";

const model = await load(process.argv[2] ?? defaultModelPath);
try {
  const texts = ["The cat sleeps.", "The kitten is asleep.", "He went to the shop to buy bread."];
  // Vectors of length 1: their product is their cosine.
  const vectors = await model.embed(texts);
  for (let one = 0; one < texts.length; one++) {
    for (let other = one + 1; other < texts.length; other++) {
      const cosine = vectors[one].reduce((sum, value, index) => sum + value * vectors[other][index], 0);
      console.log(`${cosine.toFixed(3)}  ${texts[one]} | ${texts[other]}`);
    }
  }
} finally {
  await model.close();
}
