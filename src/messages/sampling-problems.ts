/** What is wrong with a sampling setting, behind its name. */
const en = {
  outside: (f: { value: unknown; least: number; most: number }) =>
    `${f.value} is not from ${f.least} to ${f.most}`,
  notWhole: (f: { value: unknown }) => `${f.value} is not a whole number`,
  notWholeFrom: (f: { value: unknown; least: number; most: number }) =>
    `${f.value} is not a whole number from ${f.least} to ${f.most}`,
  neither: (f: { value: unknown; one: number; other: number }) =>
    `${f.value} is neither ${f.one} nor ${f.other}`,
  noToken: (f: { token: number; last: number }) => `${f.token} is not a token of this model (0 to ${f.last})`,
  biasNotNumber: (f: { token: number }) => `the bias of token ${f.token} is not a number`,
  repetition: (f: { least: string; most: string }) =>
    `{${f.least},${f.most}} asks for at most fewer than at least`,
};

const fr: typeof en = {
  outside: (f) => `${f.value} n'est pas de ${f.least} à ${f.most}`,
  notWhole: (f) => `${f.value} n'est pas un nombre entier`,
  notWholeFrom: (f) => `${f.value} n'est pas un nombre entier de ${f.least} à ${f.most}`,
  neither: (f) => `${f.value} n'est ni ${f.one} ni ${f.other}`,
  noToken: (f) => `${f.token} n'est pas un jeton de ce modèle (0 à ${f.last})`,
  biasNotNumber: (f) => `le biais du jeton ${f.token} n'est pas un nombre`,
  repetition: (f) => `{${f.least},${f.most}} veut au plus moins qu'au moins`,
};

export const samplingProblems = { en, fr };
