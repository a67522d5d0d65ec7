const en = {
  at: (f: { line: number; column: number }) => `it breaks at line ${f.line}, column ${f.column}`,
  ends: "it ends in the middle",
  empty: "it is empty",
  other: "it holds something else",
  missing: "is missing",
};

const fr: typeof en = {
  at: (f) => `il est rompu à la ligne ${f.line}, colonne ${f.column}`,
  ends: "il s'arrête au milieu",
  empty: "il est vide",
  other: "il contient autre chose",
  missing: "manque",
};

/** What is wrong with a JSON text, and with the value it holds. */
export const jsonTexts = { en, fr };
