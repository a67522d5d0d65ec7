import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";
import { placed } from "./place.js";

const en = {
  "legacy-version": (f: { path: string; magic: string; version: number }): ErrorText => ({
    what: `${f.path}: "${f.magic}" of version ${f.version} is no GGML format of 2023 (ggml, ggmf 1 and ggjt 1 to 3 are)`,
    fix: "The file is damaged, or of another program. Download it again, or look for a GGUF of the model.",
  }),
  "legacy-malformed": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "The file is damaged, or holds another model than a LLaMA: GGML files of Whisper, GPT-J and others are not read. Download it again, or convert the original model.",
  }),
  "legacy-truncated": (f: { path: string; field: string; missingBytes: number }): ErrorText => ({
    what: `${f.path}: is not whole: it ends where ${f.field} takes ${formatBytes(f.missingBytes)} more`,
    fix: "The download or copy stopped early, or a length in the file is wrong. Download the file again.",
  }),
  "legacy-surplus": (f: { path: string; surplusBytes: number }): ErrorText => ({
    what: `${f.path}: has ${f.surplusBytes} ${f.surplusBytes === 1 ? "byte" : "bytes"} too many after its last tensor`,
    fix: "Something was appended to the file, or its download went wrong. Download it again.",
  }),
  "legacy-part-missing": (f: { path: string; part: number; count: number }): ErrorText => ({
    what: `${f.path}: part ${f.part} of ${f.count} of this model is not there`,
    fix: "Put all parts into the same folder under their original names: model.bin, model.bin.1, model.bin.2 and so on.",
  }),
  "legacy-part-later": (f: { path: string; first: string }): ErrorText => ({
    what: `${f.path}: is a later part of a model`,
    fix: `Name its first part: ${f.first}`,
  }),
  "legacy-type": (f: { path: string; tensor: string; type: string; format: string }): ErrorText => ({
    what: `${f.path}: ${f.tensor}: ${f.type} is no tensor type of ${f.format}`,
    fix: "The file is damaged or was written by a changed program. Download another file of the model.",
  }),
  "legacy-scale": (f: { path: string; tensor: string; row: number }): ErrorText => ({
    what: `${f.path}: ${f.tensor}: near row ${f.row}, a block's scale is no number that half precision holds`,
    fix: "The tensor is damaged. Download the file again; where its weights really are that great, convert to another type with exact values.",
  }),
};

const fr: typeof en = {
  "legacy-version": (f) => ({
    what: `${f.path} : « ${f.magic} » en version ${f.version} n'est pas un format GGML de 2023 (ggml, ggmf 1 et ggjt 1 à 3 le sont)`,
    fix: "Le fichier est abîmé ou vient d'un autre programme. Téléchargez-le de nouveau, ou cherchez un GGUF du modèle.",
  }),
  "legacy-malformed": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Le fichier est abîmé, ou contient un autre modèle qu'un LLaMA : les fichiers GGML de Whisper, GPT-J et d'autres ne sont pas lus. Téléchargez-le de nouveau, ou convertissez le modèle d'origine.",
  }),
  "legacy-truncated": (f) => ({
    what: `${f.path} : n'est pas entier : il s'arrête là où ${f.field} demande ${formatBytes(f.missingBytes)} de plus`,
    fix: "Le téléchargement ou la copie s'est arrêté trop tôt, ou une longueur du fichier est fausse. Téléchargez-le de nouveau.",
  }),
  "legacy-surplus": (f) => ({
    what: `${f.path} : a ${f.surplusBytes} ${f.surplusBytes === 1 ? "octet" : "octets"} de trop après son dernier tenseur`,
    fix: "Quelque chose a été ajouté au fichier, ou son téléchargement s'est mal passé. Téléchargez-le de nouveau.",
  }),
  "legacy-part-missing": (f) => ({
    what: `${f.path} : la partie ${f.part} sur ${f.count} de ce modèle est absente`,
    fix: "Placez toutes les parties dans le même dossier sous leur nom d'origine : modele.bin, modele.bin.1, modele.bin.2, etc.",
  }),
  "legacy-part-later": (f) => ({
    what: `${f.path} : est une partie d'un modèle, qui n'est pas la première`,
    fix: `Nommez la première : ${f.first}`,
  }),
  "legacy-type": (f) => ({
    what: `${f.path} : ${f.tensor} : ${f.type} n'est pas un type de tenseur de ${f.format}`,
    fix: "Le fichier est abîmé ou a été écrit par un programme modifié. Téléchargez un autre fichier du modèle.",
  }),
  "legacy-scale": (f) => ({
    what: `${f.path} : ${f.tensor} : vers la ligne ${f.row}, l'échelle d'un bloc n'est pas un nombre que la demi-précision peut contenir`,
    fix: "Le tenseur est abîmé. Téléchargez le fichier de nouveau ; si ses poids sont vraiment si grands, convertissez vers un autre type avec les valeurs exactes.",
  }),
};

export const legacyErrors = { en, fr };

const problemsEn = {
  outOfRange: (f: { value: number; low: number; high: number }) => `is ${f.value}, not ${f.low} to ${f.high}`,
  tooLong: (f: { bytes: number; limit: number }) => `has ${f.bytes} bytes, ${f.limit} at most are sensible`,
  notDividing: (f: { value: number; divisor: string }) =>
    `${f.value} cannot be shared out among ${f.divisor}`,
  notTheSame: (f: { value: number; expected: number; from: string }) =>
    `is ${f.value}, but ${f.expected} follows from ${f.from}`,
  unknownTensor: () => "is no tensor of a LLaMA",
  twice: () => "is there twice",
  missing: () => "is not there",
  shape: (f: { found: string; expected: string }) => `has the shape ${f.found}, not ${f.expected}`,
  type: (f: { found: string; expected: string }) => `is ${f.found}, not ${f.expected}`,
  rowsOfBlocks: (f: { type: string; row: number; block: number }) =>
    `rows of ${f.row} elements are no whole blocks of ${f.type} (${f.block})`,
  smallSuperBlocks: (f: { type: string; row: number }) =>
    `${f.type} with rows of ${f.row} elements: made by a llama.cpp built for super-blocks of 64, which nothing reads today`,
  otherHeader: () => "differs from that of the first part",
};
const problemsFr: typeof problemsEn = {
  outOfRange: (f) => `vaut ${f.value}, et non de ${f.low} à ${f.high}`,
  tooLong: (f) => `compte ${f.bytes} octets, ${f.limit} au plus ont un sens`,
  notDividing: (f) => `${f.value} ne se partage pas entre ${f.divisor}`,
  notTheSame: (f) => `vaut ${f.value}, mais ${f.expected} découle de ${f.from}`,
  unknownTensor: () => "n'est pas un tenseur d'un LLaMA",
  twice: () => "y est deux fois",
  missing: () => "n'y est pas",
  shape: (f) => `a la forme ${f.found}, et non ${f.expected}`,
  type: (f) => `est en ${f.found}, et non en ${f.expected}`,
  rowsOfBlocks: (f) =>
    `des lignes de ${f.row} éléments ne font pas des blocs entiers de ${f.type} (${f.block})`,
  smallSuperBlocks: (f) =>
    `${f.type} avec des lignes de ${f.row} éléments : fait par un llama.cpp compilé pour des super-blocs de 64, que rien ne lit aujourd'hui`,
  otherHeader: () => "diffère de celui de la première partie",
};
/** What can be wrong with a field of a GGML file of 2023. */
export const legacyProblems = { en: problemsEn, fr: problemsFr };
