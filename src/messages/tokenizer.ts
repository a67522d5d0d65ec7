import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";
import { placed } from "./place.js";

const en = {
  "tokenizer-missing": (f: { path: string; expected: string }): ErrorText => ({
    what: `${f.path}: holds no tokenizer (expected: ${f.expected})`,
    fix: "Download the tokenizer's files of the original model into the same folder, or name where they are: --tokenizer FILE-OR-FOLDER.",
  }),
  "tokenizer-malformed": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "The file is damaged or was edited. Download it again from the model's own page.",
  }),
  "tokenizer-too-large": (f: { path: string; fileBytes: number; limitBytes: number }): ErrorText => ({
    what: `${f.path}: has ${formatBytes(f.fileBytes)}, more than any tokenizer needs (${formatBytes(f.limitBytes)})`,
    fix: "The file is damaged or is something else. Download it again from the model's own page.",
  }),
  "tokenizer-unsupported": (f: { path: string; kind: string; known: string[] }): ErrorText => ({
    what: `${f.path}: tokenizers of the kind "${f.kind}" cannot be converted for this model`,
    fix: `llama.cpp's converter knows for it: ${f.known.join(", ")}. Look for one of these in the model's repository.`,
  }),
  "tokenizer-too-many-tokens": (f: { path: string; tokens: number; rows: number }): ErrorText => ({
    what: `${f.path}: has ${f.tokens} tokens, the model's embedding has ${f.rows} rows`,
    fix: "The tokenizer and the weights are not of the same model. Take both from one repository.",
  }),
  "tokenizer-inside": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is a GGUF, whose tokenizer is inside and stays`,
    fix: "Leave out --tokenizer, or convert the original model, for which it can be given.",
  }),
  "tokenizer-other-model": (f: {
    path: string;
    model: string;
    id: number;
    text: string;
    expected: string;
    count: number;
    compared: number;
  }): ErrorText => ({
    what: `${f.path}: is of another model than ${f.model}: ${f.count} of ${f.compared} tokens differ, the first is ${f.id}, ${JSON.stringify(f.text)} for ${JSON.stringify(f.expected)}`,
    fix: "Give the tokenizer.model that this model was trained with, or leave out --tokenizer to take what the file lists.",
  }),
  "tokenizer-fingerprint-unknown": (f: { path: string; hash: string }): ErrorText => ({
    what: `${f.path}: llama.cpp v0.5.0 knows no pre-tokenizer by this tokenizer's fingerprint, ${f.hash}`,
    fix: "If you know which one it uses (for a fine-tune, that of its base model), name it: --pre llama-bpe, --pre qwen2 …",
  }),
  "tokenizer-pre-unknown": (f: { pre: string; known: string[] }): ErrorText => ({
    what: `llama.cpp v0.5.0 has no pre-tokenizer "${f.pre}"`,
    fix: `Choose one of: ${f.known.join(", ")}.`,
  }),
  "tokenizer-unusable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: the tokenizer cannot be run to take its fingerprint (${f.reason})`,
    fix: "Name its pre-tokenizer yourself (--pre llama-bpe, --pre qwen2 …), or download the file again.",
  }),
};

const fr: typeof en = {
  "tokenizer-missing": (f) => ({
    what: `${f.path} : aucun tokenizer (attendu : ${f.expected})`,
    fix: "Téléchargez les fichiers du tokenizer du modèle d'origine dans le même dossier, ou dites où ils sont : --tokenizer FICHIER-OU-DOSSIER.",
  }),
  "tokenizer-malformed": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Le fichier est abîmé ou a été modifié. Téléchargez-le de nouveau depuis la page du modèle.",
  }),
  "tokenizer-too-large": (f) => ({
    what: `${f.path} : fait ${formatBytes(f.fileBytes)}, plus qu'il n'en faut à aucun tokenizer (${formatBytes(f.limitBytes)})`,
    fix: "Le fichier est abîmé ou n'en est pas un. Téléchargez-le de nouveau depuis la page du modèle.",
  }),
  "tokenizer-unsupported": (f) => ({
    what: `${f.path} : les tokenizers du genre « ${f.kind} » ne peuvent être convertis pour ce modèle`,
    fix: `Le convertisseur de llama.cpp connaît pour lui : ${f.known.join(", ")}. Cherchez-en un dans le dépôt du modèle.`,
  }),
  "tokenizer-too-many-tokens": (f) => ({
    what: `${f.path} : a ${f.tokens} jetons, l'embedding du modèle a ${f.rows} lignes`,
    fix: "Le tokenizer et les poids ne sont pas du même modèle. Prenez les deux dans un même dépôt.",
  }),
  "tokenizer-inside": (f) => ({
    what: `${f.path} : est un GGUF, dont le tokenizer est dedans et y reste`,
    fix: "Retirez --tokenizer, ou convertissez le modèle d'origine, pour lequel on peut le donner.",
  }),
  "tokenizer-other-model": (f) => ({
    what: `${f.path} : est d'un autre modèle que ${f.model} : ${f.count} tokens sur ${f.compared} diffèrent, le premier est ${f.id}, ${JSON.stringify(f.text)} au lieu de ${JSON.stringify(f.expected)}`,
    fix: "Donnez le tokenizer.model avec lequel ce modèle a été entraîné, ou retirez --tokenizer pour prendre ce que le fichier contient.",
  }),
  "tokenizer-fingerprint-unknown": (f) => ({
    what: `${f.path} : llama.cpp v0.5.0 ne reconnaît aucun pré-tokenizer à l'empreinte de ce tokenizer, ${f.hash}`,
    fix: "Si vous savez lequel il utilise (pour un modèle affiné, celui du modèle de base), nommez-le : --pre llama-bpe, --pre qwen2 …",
  }),
  "tokenizer-pre-unknown": (f) => ({
    what: `llama.cpp v0.5.0 n'a pas de pré-tokenizer « ${f.pre} »`,
    fix: `Choisissez parmi : ${f.known.join(", ")}.`,
  }),
  "tokenizer-unusable": (f) => ({
    what: `${f.path} : le tokenizer ne peut être exécuté pour en prendre l'empreinte (${f.reason})`,
    fix: "Nommez vous-même son pré-tokenizer (--pre llama-bpe, --pre qwen2 …), ou téléchargez de nouveau le fichier.",
  }),
};

export const tokenizerErrors = { en, fr };

const problemsEn = {
  missing: () => "is missing",
  notA: (f: { expected: string }) => `is no ${f.expected}`,
  notJson: () => "is no valid JSON",
  notUtf8: () => "is no UTF-8 text",
  notProtobuf: () => "is no SentencePiece model",
  outOfRange: (f: { value: number; low: number; high: number }) =>
    `${f.value} is outside ${f.low} to ${f.high}`,
  notFinite: () => "is no finite number",
  tooMany: (f: { limit: number }) => `has more than ${f.limit} entries`,
  tooLong: (f: { limit: number }) => `is longer than ${f.limit} bytes`,
  idTaken: (f: { id: number; text: string }) => `the id ${f.id} belongs to ${JSON.stringify(f.text)} already`,
  repeated: (f: { first: number; second: number }) =>
    `the tokens ${f.first} and ${f.second} have the same text`,
  notBase64Rank: () => "is no base64 text and rank",
  rankOrder: (f: { expected: number; value: number }) => `has the rank ${f.value}, expected ${f.expected}`,
  noMerge: () => "joins no two other tokens",
  noByte: (f: { byte: number }) => `has no token for the byte ${f.byte}`,
  noDefault: () => "is neither a text nor a list of named templates",
};
const problemsFr: typeof problemsEn = {
  missing: () => "est absent",
  notA: (f) => `n'est pas de type ${f.expected}`,
  notJson: () => "n'est pas du JSON valide",
  notUtf8: () => "n'est pas du texte UTF-8",
  notProtobuf: () => "n'est pas un modèle SentencePiece",
  outOfRange: (f) => `${f.value} sort de l'intervalle de ${f.low} à ${f.high}`,
  notFinite: () => "n'est pas un nombre fini",
  tooMany: (f) => `a plus de ${f.limit} éléments`,
  tooLong: (f) => `dépasse ${f.limit} octets`,
  idTaken: (f) => `l'identifiant ${f.id} est déjà celui de ${JSON.stringify(f.text)}`,
  repeated: (f) => `les jetons ${f.first} et ${f.second} ont le même texte`,
  notBase64Rank: () => "n'est pas un texte base64 suivi d'un rang",
  rankOrder: (f) => `a le rang ${f.value}, attendu ${f.expected}`,
  noMerge: () => "ne réunit pas deux autres jetons",
  noByte: (f) => `n'a pas de jeton pour l'octet ${f.byte}`,
  noDefault: () => "n'est ni un texte ni une liste de modèles nommés",
};
/** What can be wrong with a tokenizer's file: the `problem` of `tokenizer-malformed`. */
export const tokenizerProblems = { en: problemsEn, fr: problemsFr };
