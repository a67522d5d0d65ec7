// Many prompts at once: up to `sequences` of them share every micro-batch, the others wait for their turn.
//   node many-prompts.mjs [MODEL.gguf]
import { defaultModelPath, load } from "jauge";

const model = await load(process.argv[2] ?? defaultModelPath, { sequences: 8 });
try {
  const animals = ["cat", "dog", "bird", "frog", "fish", "bear", "mouse", "duck", "fox", "cow", "pig", "hen"];
  const results = await Promise.all(
    animals.map((animal) => {
      // What the prompts have in common is computed once. `batch`: whoever chats meanwhile goes first.
      const prompt = `Once upon a time, there was a little ${animal}. The ${animal}`;
      return model.complete(prompt, { maxTokens: 24, temperature: 0, priority: "batch" }).result;
    }),
  );
  results.forEach(({ text, stats }, index) => {
    console.log(
      `${animals[index]}:${text.replaceAll("\n", " ")} (${stats.cachedPromptTokens} tokens shared)`,
    );
  });
} finally {
  await model.close();
}
