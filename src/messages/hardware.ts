import type { ErrorText } from "./error-text.js";

const en = {
  "hardware-file-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${f.path}: ${f.field}: ${f.problem}`,
    fix: "Correct this field; docs/HARDWARE.md describes them all, with an example.",
  }),
  "profile-unknown": (f: { name: string; known: string[] }): ErrorText => ({
    what: `There is no hardware profile "${f.name}", and no such file`,
    fix: `Profiles: ${f.known.join(", ")}. For another machine, give a JSON file (docs/HARDWARE.md).`,
  }),
};

const fr: { [Code in keyof typeof en]: (typeof en)[Code] } = {
  "hardware-file-invalid": (f) => ({
    what: `${f.path} : ${f.field} : ${f.problem}`,
    fix: "Corrigez ce champ ; docs/HARDWARE.md les décrit tous, avec un exemple.",
  }),
  "profile-unknown": (f) => ({
    what: `Aucun profil de machine ne s'appelle « ${f.name} », et aucun fichier non plus`,
    fix: `Profils : ${f.known.join(", ")}. Pour une autre machine, donnez un fichier JSON (docs/HARDWARE.md).`,
  }),
};

export const hardwareErrors = { en, fr };

/** What is wrong with a field of a hardware file, beside what zod says itself. */
export const hardwareProblems = {
  en: {
    powerOfTwo: "is no power of two",
    oneForEachRow: "one for each of rows",
    oneForEachSize: "one for each of headSizes",
    growing: "each greater than the one before",
    atLeastOneType: "at least one type",
    atMostTotal: "at most totalBytes",
    differentNames: "two devices of the same name",
  },
  fr: {
    powerOfTwo: "n'est pas une puissance de deux",
    oneForEachRow: "un pour chaque élément de rows",
    oneForEachSize: "un pour chaque élément de headSizes",
    growing: "chacun plus grand que le précédent",
    atLeastOneType: "au moins un type",
    atMostTotal: "au plus totalBytes",
    differentNames: "deux périphériques du même nom",
  },
};
