/** The fixed set of prompts for the embedded model: short and long, with UTF-8 of every width, and nearly empty. */
export const prompts: readonly string[] = [
  "Once upon a time",
  "",
  " ",
  "\n",
  "T",
  "One day, a little girl named Lily found a needle in her room.",
  "Zoé and Chloë went to the café. « Bonjour ! » said the chef",
  "你好，小猫 said the old man, and the кошка smiled 🙂🙂",
  'Tom said, "I have 3 apples and 12 pears."\n\nHis mom said, "',
  "the the the the the the the the",
  `Once upon a time, there was a little boy named Tim. Tim had a big, red ball. ${"He liked to play with his ball in the park. ".repeat(4)}One day,`,
  `${"Lily and Ben are friends. They like to run and jump. ".repeat(8)}Then they saw a`,
];
