import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";
import { placed } from "./place.js";

const en = {
  "checkpoint-unrecognised": (f: { path: string; looksLike: string }): ErrorText => ({
    what: `${f.path}: is no checkpoint (${f.looksLike})`,
    fix: "Name a .safetensors file, a file of torch.save or of EasyLM, or a folder that holds one model in either format.",
  }),
  "checkpoint-malformed": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "The file is damaged or was not written by the usual tools. Download it again.",
  }),
  "checkpoint-truncated": (f: {
    path: string;
    field: string;
    missingBytes: number;
    fileBytes: number;
  }): ErrorText => ({
    what: `${f.path}: is not whole: it ends after ${formatBytes(f.fileBytes)}, and ${f.field} takes ${formatBytes(f.missingBytes)} more`,
    fix: "The download or copy stopped early. Download the file again.",
  }),
  "checkpoint-cut-short": (f: { path: string; fileBytes: number }): ErrorText => ({
    what: `${f.path}: is not whole: it ends after ${formatBytes(f.fileBytes)}, without the list of what it holds`,
    fix: "The download or copy stopped early. Download the file again.",
  }),
  "checkpoint-unsupported": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "Save the model's plain weights again with torch.save or as safetensors, or take another publication of it.",
  }),
  "checkpoint-class-refused": (f: { path: string; class: string }): ErrorText => ({
    what: `${f.path}: its pickle asks for ${f.class}, which no checkpoint of weights needs; nothing of it was run`,
    fix: "A pickle can run any program. Take the model as safetensors; only where you trust its author, have PyTorch save its state_dict alone.",
  }),
  "checkpoint-file-missing": (f: { path: string; file: string }): ErrorText => ({
    what: `${f.path}: ${f.file} is not there`,
    fix: "Download the missing file into the same folder. All files keep their original names.",
  }),
  "checkpoint-tensor-missing": (f: { path: string; tensor: string; file: string }): ErrorText => ({
    what: `${f.path}: tensor ${f.tensor} should be in ${f.file} and is not`,
    fix: "The files belong to different versions of the model, or one is incomplete. Download all of them again.",
  }),
  "checkpoint-shards-differ": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "Put params.json and all the consolidated files of one model, and of no other, into one folder.",
  }),
};

const fr: typeof en = {
  "checkpoint-unrecognised": (f) => ({
    what: `${f.path} : n'est pas un fichier de poids connu (${f.looksLike})`,
    fix: "Donnez un fichier .safetensors, un fichier de torch.save ou d'EasyLM, ou un dossier qui contient un seul modèle dans l'un de ces formats.",
  }),
  "checkpoint-malformed": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Le fichier est abîmé ou n'a pas été écrit par les outils habituels. Téléchargez-le de nouveau.",
  }),
  "checkpoint-truncated": (f) => ({
    what: `${f.path} : n'est pas entier : il s'arrête après ${formatBytes(f.fileBytes)}, et ${f.field} en demande ${formatBytes(f.missingBytes)} de plus`,
    fix: "Le téléchargement ou la copie s'est arrêté trop tôt. Téléchargez le fichier de nouveau.",
  }),
  "checkpoint-cut-short": (f) => ({
    what: `${f.path} : n'est pas entier : il s'arrête après ${formatBytes(f.fileBytes)}, sans la liste de ce qu'il contient`,
    fix: "Le téléchargement ou la copie s'est arrêté trop tôt. Téléchargez le fichier de nouveau.",
  }),
  "checkpoint-unsupported": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Enregistrez de nouveau les poids seuls avec torch.save ou en safetensors, ou prenez une autre publication du modèle.",
  }),
  "checkpoint-class-refused": (f) => ({
    what: `${f.path} : son pickle demande ${f.class}, dont aucun fichier de poids n'a besoin ; rien n'en a été exécuté`,
    fix: "Un pickle peut lancer n'importe quel programme. Prenez le modèle en safetensors ; si vous faites confiance à son auteur, et seulement alors, faites enregistrer son state_dict seul par PyTorch.",
  }),
  "checkpoint-file-missing": (f) => ({
    what: `${f.path} : ${f.file} est absent`,
    fix: "Téléchargez le fichier manquant dans le même dossier. Tous les fichiers gardent leur nom d'origine.",
  }),
  "checkpoint-tensor-missing": (f) => ({
    what: `${f.path} : le tenseur ${f.tensor} devrait se trouver dans ${f.file} et n'y est pas`,
    fix: "Les fichiers viennent de versions différentes du modèle, ou l'un d'eux est incomplet. Téléchargez-les tous de nouveau.",
  }),
  "checkpoint-shards-differ": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Mettez params.json et tous les fichiers consolidated d'un même modèle, et d'aucun autre, dans un dossier.",
  }),
};

export const checkpointErrors = { en, fr };

const problemsEn = {
  tooLong: (f: { bytes: number; limitBytes: number }) =>
    `${formatBytes(f.bytes)} are more than any checkpoint has (${formatBytes(f.limitBytes)})`,
  tooMany: (f: { limit: number }) => `there are more than ${f.limit} of them`,
  tooDeep: (f: { limit: number }) => `is nested more than ${f.limit} levels deep`,
  notJson: () => "is no valid JSON",
  notA: (f: { expected: string }) => `is no ${f.expected}`,
  missing: () => "is missing",
  unknownType: (f: { type: string }) => `the element type ${f.type} is not known`,
  badShape: (f: { shape: string }) => `${f.shape} is no shape`,
  wrongSize: (f: { bytes: number; expectedBytes: number }) =>
    `has ${f.bytes} bytes where its shape and type ask for ${f.expectedBytes}`,
  notContiguous: () => "its data overlaps another tensor's or leaves a hole",
  outsideStorage: (f: { needed: number; elements: number }) =>
    `reaches to element ${f.needed} of a storage of ${f.elements}`,
  outsideFile: () => "lies outside the file",
  outsideItem: (f: { position: number }) =>
    `what begins at byte ${f.position} does not fit what it stands in`,
  msgpack: (f: { position: number; code: number }) =>
    `at byte ${f.position}: ${f.code} begins nothing in MessagePack`,
  notOfLlama: () => "is no tensor of EasyLM's LLaMA",
  duplicate: () => "is there twice",
  notBesideIndex: (f: { file: string }) => `"${f.file}" is no name of a file beside the index`,
  compressed: (f: { method: number }) => `is compressed (zip method ${f.method}), torch.save stores`,
  encrypted: () => "is encrypted",
  zip: (f: { reason: string }) => `the zip archive is damaged (${f.reason})`,
  bigEndian: () => "was written on a big-endian machine",
  opcode: (f: { opcode: string; position: number }) =>
    `opcode ${f.opcode} at byte ${f.position} is not one that torch.save writes`,
  protocol: (f: { version: number }) => `protocol ${f.version} is not known (2 to 5 are)`,
  pickle: (f: { position: number; reason: string }) => `at byte ${f.position}: ${f.reason}`,
  stackEmpty: () => "a value is asked for where there is none",
  outsideInteger: (f: { bytes: number }) =>
    `an integer of ${f.bytes} bytes is longer than any of a checkpoint`,
  endsEarly: () => "it ends before it is complete",
  storageMissing: (f: { key: string }) => `its storage "${f.key}" is not in the file`,
  storageUnused: () => "no tensor says what its elements are",
  notMemorised: (f: { index: number }) => `value ${f.index} was never stored`,
  arguments: (f: { class: string }) => `${f.class} has arguments that it does not take`,
  notCallable: () => "a value is called that is no function",
  setState: () => "a state is set on a value that has none",
  noTensors: () => "holds no named tensors",
  program: () => "holds a whole program (TorchScript), not weights alone",
  shardShape: (f: { shapes: string }) => `the parts have shapes that do not join: ${f.shapes}`,
  shardNames: (f: { file: string }) => `the parts do not hold the same tensors (compare ${f.file})`,
  howJoined: (f: { count: number }) => `how its ${f.count} parts are joined is not known`,
  embeddingShape: (f: { shape: string; count: number; dim: number }) =>
    `${f.count} parts of ${f.shape} do not make an embedding of ${f.dim}`,
};
const problemsFr: typeof problemsEn = {
  tooLong: (f) =>
    `${formatBytes(f.bytes)}, c'est plus qu'aucun fichier de poids (${formatBytes(f.limitBytes)})`,
  tooMany: (f) => `il y en a plus de ${f.limit}`,
  tooDeep: (f) => `est imbriqué sur plus de ${f.limit} niveaux`,
  notJson: () => "n'est pas du JSON valide",
  notA: (f) => `n'est pas de type ${f.expected}`,
  missing: () => "est absent",
  unknownType: (f) => `le type d'élément ${f.type} n'est pas connu`,
  badShape: (f) => `${f.shape} n'est pas une forme`,
  wrongSize: (f) => `a ${f.bytes} octets, sa forme et son type en demandent ${f.expectedBytes}`,
  notContiguous: () => "ses données chevauchent celles d'un autre tenseur ou laissent un trou",
  outsideStorage: (f) => `va jusqu'à l'élément ${f.needed} d'un stockage de ${f.elements}`,
  outsideFile: () => "se trouve hors du fichier",
  outsideItem: (f) => `ce qui commence à l'octet ${f.position} dépasse ce qui le contient`,
  msgpack: (f) => `à l'octet ${f.position} : ${f.code} ne commence rien en MessagePack`,
  notOfLlama: () => "n'est pas un tenseur du LLaMA d'EasyLM",
  duplicate: () => "s'y trouve deux fois",
  notBesideIndex: (f) => `« ${f.file} » n'est pas le nom d'un fichier à côté de l'index`,
  compressed: (f) => `est compressé (méthode zip ${f.method}), torch.save ne comprime pas`,
  encrypted: () => "est chiffré",
  zip: (f) => `l'archive zip est abîmée (${f.reason})`,
  bigEndian: () => "a été écrit sur une machine gros-boutiste",
  opcode: (f) => `l'opcode ${f.opcode} à l'octet ${f.position} n'est pas de ceux que torch.save écrit`,
  protocol: (f) => `le protocole ${f.version} n'est pas connu (2 à 5 le sont)`,
  pickle: (f) => `à l'octet ${f.position} : ${f.reason}`,
  stackEmpty: () => "une valeur est demandée là où il n'y en a pas",
  outsideInteger: (f) => `un entier de ${f.bytes} octets est plus long qu'aucun d'un fichier de poids`,
  endsEarly: () => "il s'arrête avant d'être complet",
  storageMissing: (f) => `son stockage « ${f.key} » n'est pas dans le fichier`,
  storageUnused: () => "aucun tenseur ne dit ce que sont ses éléments",
  notMemorised: (f) => `la valeur ${f.index} n'a jamais été gardée`,
  arguments: (f) => `${f.class} a des arguments qu'il ne prend pas`,
  notCallable: () => "une valeur qui n'est pas une fonction est appelée",
  setState: () => "un état est donné à une valeur qui n'en a pas",
  noTensors: () => "ne contient aucun tenseur nommé",
  program: () => "contient tout un programme (TorchScript), pas seulement des poids",
  shardShape: (f) => `les parties ont des formes qui ne s'assemblent pas : ${f.shapes}`,
  shardNames: (f) => `les parties ne contiennent pas les mêmes tenseurs (comparez ${f.file})`,
  howJoined: (f) => `la façon d'assembler ses ${f.count} parties n'est pas connue`,
  embeddingShape: (f) => `${f.count} parties de ${f.shape} ne font pas un plongement de ${f.dim}`,
};
/** What can be wrong with a part of a checkpoint: the `problem` of its errors. */
export const checkpointProblems = { en: problemsEn, fr: problemsFr };

const looksEn = {
  empty: () => "it is empty",
  unknown: (f: { start: string }) => `it starts with ${f.start}`,
  noneInFolder: () => "the folder holds none",
  severalInFolder: (f: { files: string }) => `the folder holds several: ${f.files}`,
};
const looksFr: typeof looksEn = {
  empty: () => "il est vide",
  unknown: (f) => `il commence par ${f.start}`,
  noneInFolder: () => "le dossier n'en contient aucun",
  severalInFolder: (f) => `le dossier en contient plusieurs : ${f.files}`,
};
/** What a path that is no checkpoint looks like. */
export const checkpointLooks = { en: looksEn, fr: looksFr };

const schemaEn = {
  missing: () => "is missing",
  types: {
    number: "number",
    int: "whole number",
    string: "text",
    boolean: "boolean",
    array: "list",
    object: "object",
    record: "object",
  },
  wrongType: (f: { shown: string; type: string }) => `${f.shown} is no ${f.type}`,
  tooSmall: (f: { shown: string; least: string }) => `${f.shown} is less than ${f.least}`,
  tooLarge: (f: { shown: string; most: string }) => `${f.shown} is more than ${f.most}`,
  notAllowed: (f: { shown: string }) => `${f.shown} is nothing that can stand here`,
};
const schemaFr: typeof schemaEn = {
  missing: () => "est absent",
  types: {
    number: "un nombre",
    int: "un nombre entier",
    string: "un texte",
    boolean: "un booléen",
    array: "une liste",
    object: "un objet",
    record: "un objet",
  },
  wrongType: (f) => `${f.shown} n'est pas ${f.type}`,
  tooSmall: (f) => `${f.shown} est inférieur à ${f.least}`,
  tooLarge: (f) => `${f.shown} est supérieur à ${f.most}`,
  notAllowed: (f) => `${f.shown} ne peut se trouver ici`,
};
/** What can be wrong with a field of a configuration. */
export const schemaProblems = { en: schemaEn, fr: schemaFr };
