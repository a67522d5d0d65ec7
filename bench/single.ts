import { compare } from "./compare.js";

/** One sequence: prefill of 512 tokens, decode of 128. */
await compare(
  "single",
  ["single"],
  [
    { test: "pp512", against: "peer", ratio: 1 },
    { test: "pp512", against: "bare", ratio: 0.98 },
    { test: "tg128", against: "peer", ratio: 1 },
    { test: "tg128", against: "bare", ratio: 0.98 },
  ],
);
