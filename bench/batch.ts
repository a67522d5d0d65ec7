import { compare } from "./compare.js";

/** 64 requests, 32 at a time, with a prefix of 256 tokens in common and with none. */
await compare(
  "batch",
  ["shared", "distinct"],
  [
    { test: "shared", against: "bare", ratio: 0.95 },
    { test: "shared", against: "peer", ratio: 2.2 },
    { test: "distinct", against: "bare", ratio: 0.95 },
    { test: "distinct", against: "peer", ratio: 1.1 },
  ],
);
