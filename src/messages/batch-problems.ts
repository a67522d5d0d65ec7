/** What is wrong with a line of a batch's input, behind the name of its field. */
const en = {
  notObject: "is not a JSON object",
  notText: "is not a text",
  tooLong: (f: { most: number }) => `is longer than ${f.most} characters`,
  noRequest: "has no prompt, messages, input or body",
  notPost: "is not POST",
  unknownUrl: (f: { known: string }) => `is none of ${f.known}`,
  differs: (f: { other: string }) => `differs from ${f.other}`,
  excludes: (f: { other: string }) => `and ${f.other} exclude each other`,
  missing: "is missing",
  missingField: "is missing; the template asks for it",
  notTextOrNumber: "is neither text nor a number",
  needsLogprobs: "needs logprobs: true",
  manyTexts: (f: { count: number }) => `has ${f.count} texts; give each a line of its own`,
  cells: (f: { cells: number; header: number }) =>
    `has ${f.cells} ${f.cells === 1 ? "cell" : "cells"}; the header has ${f.header}`,
  unreadRow: (f: { problem: string }) => `cannot be read, nor what follows it: ${f.problem}`,
};

const fr: typeof en = {
  notObject: "n'est pas un objet JSON",
  notText: "n'est pas un texte",
  tooLong: (f) => `dépasse ${f.most} caractères`,
  noRequest: "n'a ni prompt, ni messages, ni input, ni body",
  notPost: "n'est pas POST",
  unknownUrl: (f) => `n'est aucune de ${f.known}`,
  differs: (f) => `diffère de ${f.other}`,
  excludes: (f) => `et ${f.other} s'excluent`,
  missing: "manque",
  missingField: "manque ; le modèle d'invite le demande",
  notTextOrNumber: "n'est ni un texte ni un nombre",
  needsLogprobs: "demande logprobs: true",
  manyTexts: (f) => `a ${f.count} textes ; donnez à chacun sa ligne`,
  cells: (f) => `a ${f.cells} ${f.cells === 1 ? "cellule" : "cellules"} ; l'en-tête en a ${f.header}`,
  unreadRow: (f) => `ne peut pas être lue, ni ce qui la suit : ${f.problem}`,
};

export const batchProblems = { en, fr };
