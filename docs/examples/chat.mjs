// A conversation: each answer is printed as it comes and becomes part of what is said next.
//   node chat.mjs [MODEL.gguf]
import { defaultModelPath, load } from "jauge";

// `await using` (Node 24) closes the model by itself; on older versions, close it in a `finally`.
const model = await load(process.argv[2] ?? defaultModelPath);
try {
  const messages = [{ role: "system", content: "You tell short stories for children." }];
  for (const question of ["Tell me of a girl named Lily.", "What did she do then?"]) {
    console.log(`> ${question}`);
    messages.push({ role: "user", content: question });

    const answer = model.chat(messages, { maxTokens: 60, seed: 1 });
    for await (const piece of answer) process.stdout.write(piece);
    console.log();

    // The beginning of the conversation is still in the KV cache: only what is new is computed next time.
    const { text, finishReason, stats } = await answer.result;
    messages.push({ role: "assistant", content: text });
    console.log(`(${stats.generatedTokens} tokens, ended by: ${finishReason})`);
  }
} finally {
  await model.close();
}
