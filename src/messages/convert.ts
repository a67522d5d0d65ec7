import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";

/** One weight, counted from 0 as the file has them; absent where it is not known which. */
export interface WeightPlace {
  row?: number;
  column?: number;
  value?: string;
}

/** A regular expression for this name alone. */
function patternFor(name: string): string {
  return `^${name.replaceAll(".", "\\.")}$`;
}

/** BF16 reaches as far as F32, but for the last rounding. */
function greater(type: string): string {
  return type === "BF16" ? "F32" : "BF16";
}

const en = {
  "requantise-refused": (f: {
    path: string;
    tensor: string;
    from: string;
    type: string;
    /** Whether a type is chosen for every tensor: there is no keeping them. */
    isTarget?: boolean;
  }): ErrorText => ({
    what: `${f.path}: ${f.tensor} is quantised already (${f.from}); ${f.isTarget ? "quantising it again" : `making it ${f.type}`} would lose quality twice`,
    fix: f.isTarget
      ? "Start from the original model, of 16 or 32 bits, or give --allow-requantize."
      : "Keep its types with --type auto, quantise the original model instead, or give --allow-requantize.",
  }),
  "source-unconvertible": (f: { path: string }): ErrorText => ({
    what: `${f.path}: the folder holds no model, or more than one`,
    fix: "Name a folder with config.json (Hugging Face) or params.json (Meta) and the weights, or one file: .gguf, or .bin of 2023 (GGML).",
  }),
  "source-format-unknown": (f: { path: string; looksLike: string; advice: string }): ErrorText => ({
    what: `${f.path}: is no model that jauge reads (${f.looksLike})`,
    fix: `${f.advice ? `${f.advice} ` : ""}Read are GGUF, GGML files of 2023 (.bin), safetensors, files of torch.save and of EasyLM, and folders with config.json (Hugging Face), params.json (Meta) or adapter_config.json (LoRA).`,
  }),
  "source-is-adapter": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is an adapter, and no model without its base`,
    fix: `Merge it into its base: jauge convert BASE --lora ${f.path}. Or keep it apart: jauge adapter ${f.path} --base BASE`,
  }),
  "source-is-configuration": (f: { path: string; folder: string }): ErrorText => ({
    what: `${f.path}: is the configuration of a model, without its weights`,
    fix: `Name the folder they lie in: jauge inspect ${f.folder}`,
  }),
  "source-remote": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is an address, and what is converted is read from the disk`,
    fix: "Download the model with all its files into one folder first, then name that folder.",
  }),
  "tensor-type-unfit": (f: { tensor: string; type: string; rowLength: number }): ErrorText => ({
    what: `${f.tensor}: its rows of ${f.rowLength} elements cannot be divided into blocks of ${f.type}`,
    fix: "Choose a type with smaller blocks for this tensor, such as Q8_0, or F16.",
  }),
  "tensor-type-unmatched": (f: {
    path: string;
    pattern: string;
    type: string;
    names: readonly string[];
  }): ErrorText => ({
    what: `--tensor-type ${f.pattern}=${f.type}: ${f.path} has no tensor whose name matches`,
    fix: `The nearest names: ${f.names.join(", ")}. A dry run (--dry-run, without this option) shows all.`,
  }),
  "tensor-type-fixed": (f: { pattern: string; type: string; tensor: string; kept: string }): ErrorText => ({
    what: `--tensor-type ${f.pattern}=${f.type}: matches only tensors that are never quantised (${f.tensor} stays ${f.kept})`,
    fix: "Leave it out, or name matrices: norms, biases and routers are too small or too delicate to quantise.",
  }),
  "tensor-type-unreadable": (f: { type: string }): ErrorText => ({
    what: `${f.type}: llama.cpp cannot turn this type into another`,
    fix: "Convert the original model instead.",
  }),
  "tensor-row-too-long": (f: { tensor: string; rowLength: number; limit: number }): ErrorText => ({
    what: `${f.tensor}: has rows of ${f.rowLength} elements; at most ${f.limit} can be`,
    fix: "No known model has such rows: the file is most likely damaged. Download it again.",
  }),
  "importance-needed": (f: { tensor: string; type: string; mix?: string }): ErrorText => ({
    what: `${f.tensor}: ${f.type}${f.mix ? `, of the mix ${f.mix},` : ""} is worth nothing without an importance matrix`,
    fix: "Give one with --imatrix FILE (`jauge imatrix` computes it), or choose a type of more bits.",
  }),
  "importance-size": (f: { path: string; tensor: string; found: number; expected: number }): ErrorText => ({
    what: `${f.path}: has ${f.found} values for ${f.tensor}, which needs ${f.expected}`,
    fix: "It was computed for another model. Give the importance matrix of this one.",
  }),
  "weights-not-finite": (f: { tensor: string } & WeightPlace): ErrorText => ({
    what: `${f.tensor}: ${f.row === undefined ? "has weights that are infinite or no number" : `row ${f.row}, column ${f.column} is ${f.value}, which no weight can be`}`,
    fix: "The source is damaged, or its training failed. Download it again, or take the model from elsewhere.",
  }),
  "weights-too-large": (f: { tensor: string; type: string } & WeightPlace): ErrorText => ({
    what: `${f.tensor}: ${f.row === undefined ? "has weights" : `row ${f.row}, column ${f.column} is ${f.value},`} too large for ${f.type}`,
    fix: `Choose a type of greater range: --type ${greater(f.type)}, or for this tensor alone --tensor-type '${patternFor(f.tensor)}=${greater(f.type)}'.`,
  }),
  "conversion-output-exists": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is there already`,
    fix: "Choose another name, or give --force.",
  }),
  "conversion-locked": (f: { path: string; owner: string; lock: string }): ErrorText => ({
    what: `${f.path}: another process is writing it (${f.owner})`,
    fix: `Wait for it, or choose another name. If that process is surely gone, delete ${f.lock}.`,
  }),
  "output-not-gguf": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is there already, and is no GGUF file`,
    fix: "Choose another name. Only GGUF files are replaced; delete this one yourself if it is of no use.",
  }),
  "output-is-folder": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is a folder`,
    fix: "Name the file to write: -o FOLDER/NAME.gguf.",
  }),
  "output-is-source": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is the source itself`,
    fix: "Choose another name for the output.",
  }),
  "disk-too-small": (f: { path: string; neededBytes: number; freeBytes: number }): ErrorText => ({
    what: `${f.path}: takes ${formatBytes(f.neededBytes)} more, and the disk has ${formatBytes(f.freeBytes)} free`,
    fix: "Make room, write to another disk, or choose a type of fewer bits.",
  }),
  "conversion-disk-full": (f: { path: string }): ErrorText => ({
    what: `${f.path}: the disk is full`,
    fix: "Make room and run the same command again: it continues where it stopped.",
  }),
  "conversion-different": (f: { path: string; difference: string }): ErrorText => ({
    what: `${f.path}.part: was begun otherwise (${f.difference})`,
    fix: "Run the command it was begun with to finish it, or give --restart to begin anew.",
  }),
  "conversion-journal-unreadable": (f: { path: string }): ErrorText => ({
    what: `${f.path}.part: cannot be continued: its journal is not there or cannot be read`,
    fix: "Give --restart to begin anew.",
  }),
  "conversion-interrupted": (f: { path: string }): ErrorText => ({
    what: `${f.path}: not finished`,
    fix: "Run the same command again: it continues where it stopped.",
  }),
  "conversion-crashed": (f: { path: string; signal: string; log: string }): ErrorText => ({
    what: `${f.path}: the process that converts ended (${f.signal})${f.log ? `:\n${f.log}` : ""}`,
    fix: "Run the same command again: it continues where it stopped. If it ends there again, report it.",
  }),
  "conversion-unverified": (f: { path: string; log: string }): ErrorText => ({
    what: `${f.path}: llama.cpp cannot load what was written${f.log ? `:\n${f.log}` : ""}`,
    fix: "The source is no whole model, or this is a defect of jauge: report it with the command.",
  }),
  "source-unrunnable": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${f.path}: llama.cpp could not run what it would become: ${f.field}: ${f.problem}`,
    fix: f.field.startsWith("tokenizer.")
      ? "Nothing was written. Give the tokenizer of the original model: --tokenizer FILE-OR-FOLDER. A GGUF needs to be made anew from its original."
      : "Nothing was written. The source is damaged or no whole model: download it again, or take it from elsewhere.",
  }),
  "source-unloadable": (f: { path: string; log: string }): ErrorText => ({
    what: `${f.path}: llama.cpp could not load what it would become${f.log ? `:\n${f.log}` : ""}`,
    fix: "Nothing was written. The source is no whole model, or this is a defect of jauge: report it with the command.",
  }),
  "split-not": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is no part of a split model`,
    fix: "Name the first part: MODEL-00001-of-0000N.gguf.",
  }),
};

const fr: typeof en = {
  "requantise-refused": (f) => ({
    what: `${f.path} : ${f.tensor} est déjà quantifié (${f.from}) ; ${f.isTarget ? "le quantifier encore" : `en faire ${f.type}`} perdrait deux fois en qualité`,
    fix: f.isTarget
      ? "Partez du modèle d'origine, en 16 ou 32 bits, ou donnez --allow-requantize."
      : "Gardez ses types avec --type auto, quantifiez plutôt le modèle d'origine, ou donnez --allow-requantize.",
  }),
  "source-unconvertible": (f) => ({
    what: `${f.path} : le dossier ne contient aucun modèle, ou plusieurs`,
    fix: "Nommez un dossier avec config.json (Hugging Face) ou params.json (Meta) et les poids, ou un seul fichier : .gguf, ou .bin de 2023 (GGML).",
  }),
  "source-format-unknown": (f) => ({
    what: `${f.path} : n'est pas un modèle que jauge lit (${f.looksLike})`,
    fix: `${f.advice ? `${f.advice} ` : ""}Se lisent : GGUF, les fichiers GGML de 2023 (.bin), safetensors, les fichiers de torch.save et d'EasyLM, et les dossiers avec config.json (Hugging Face), params.json (Meta) ou adapter_config.json (LoRA).`,
  }),
  "source-is-adapter": (f) => ({
    what: `${f.path} : est un adaptateur, qui n'est pas un modèle sans sa base`,
    fix: `Fusionnez-le avec sa base : jauge convert BASE --lora ${f.path}. Ou gardez-le à part : jauge adapter ${f.path} --base BASE`,
  }),
  "source-is-configuration": (f) => ({
    what: `${f.path} : est la configuration d'un modèle, sans ses poids`,
    fix: `Nommez le dossier qui les contient : jauge inspect ${f.folder}`,
  }),
  "source-remote": (f) => ({
    what: `${f.path} : est une adresse, et ce qui se convertit est lu sur le disque`,
    fix: "Téléchargez d'abord le modèle avec tous ses fichiers dans un dossier, puis nommez ce dossier.",
  }),
  "tensor-type-unfit": (f) => ({
    what: `${f.tensor} : ses lignes de ${f.rowLength} éléments ne se divisent pas en blocs de ${f.type}`,
    fix: "Choisissez pour ce tenseur un type aux blocs plus petits, comme Q8_0, ou F16.",
  }),
  "tensor-type-unmatched": (f) => ({
    what: `--tensor-type ${f.pattern}=${f.type} : ${f.path} n'a aucun tenseur dont le nom correspond`,
    fix: `Les noms les plus proches : ${f.names.join(", ")}. Un essai à blanc (--dry-run, sans cette option) les montre tous.`,
  }),
  "tensor-type-fixed": (f) => ({
    what: `--tensor-type ${f.pattern}=${f.type} : ne correspond qu'à des tenseurs jamais quantifiés (${f.tensor} reste ${f.kept})`,
    fix: "Enlevez-le, ou nommez des matrices : normes, biais et routeurs sont trop petits ou trop délicats pour être quantifiés.",
  }),
  "tensor-type-unreadable": (f) => ({
    what: `${f.type} : llama.cpp ne sait pas faire un autre type de celui-ci`,
    fix: "Convertissez plutôt le modèle d'origine.",
  }),
  "tensor-row-too-long": (f) => ({
    what: `${f.tensor} : a des lignes de ${f.rowLength} éléments ; le maximum est ${f.limit}`,
    fix: "Aucun modèle connu n'a de telles lignes : le fichier est sans doute abîmé. Téléchargez-le de nouveau.",
  }),
  "importance-needed": (f) => ({
    what: `${f.tensor} : ${f.type}${f.mix ? `, du mélange ${f.mix},` : ""} ne vaut rien sans matrice d'importance`,
    fix: "Donnez-en une avec --imatrix FICHIER (`jauge imatrix` la calcule), ou choisissez un type de plus de bits.",
  }),
  "importance-size": (f) => ({
    what: `${f.path} : contient ${f.found} valeurs pour ${f.tensor}, qui en demande ${f.expected}`,
    fix: "Elle a été calculée pour un autre modèle. Donnez la matrice d'importance de celui-ci.",
  }),
  "weights-not-finite": (f) => ({
    what: `${f.tensor} : ${f.row === undefined ? "a des poids infinis, ou qui ne sont pas des nombres" : `ligne ${f.row}, colonne ${f.column} : ${f.value}, ce qu'aucun poids ne peut être`}`,
    fix: "La source est abîmée, ou son entraînement a échoué. Téléchargez-la de nouveau, ou prenez le modèle ailleurs.",
  }),
  "weights-too-large": (f) => ({
    what: `${f.tensor} : ${f.row === undefined ? "a des poids trop grands" : `ligne ${f.row}, colonne ${f.column} : ${f.value}, trop grand`} pour ${f.type}`,
    fix: `Choisissez un type de plus grande étendue : --type ${greater(f.type)}, ou pour ce seul tenseur --tensor-type '${patternFor(f.tensor)}=${greater(f.type)}'.`,
  }),
  "conversion-output-exists": (f) => ({
    what: `${f.path} : existe déjà`,
    fix: "Choisissez un autre nom, ou donnez --force.",
  }),
  "conversion-locked": (f) => ({
    what: `${f.path} : un autre processus l'écrit (${f.owner})`,
    fix: `Attendez-le, ou choisissez un autre nom. Si ce processus a sûrement disparu, effacez ${f.lock}.`,
  }),
  "output-not-gguf": (f) => ({
    what: `${f.path} : existe déjà, et n'est pas un fichier GGUF`,
    fix: "Choisissez un autre nom. Seuls les fichiers GGUF sont remplacés ; effacez vous-même celui-ci s'il ne sert à rien.",
  }),
  "output-is-folder": (f) => ({
    what: `${f.path} : est un dossier`,
    fix: "Nommez le fichier à écrire : -o DOSSIER/NOM.gguf.",
  }),
  "output-is-source": (f) => ({
    what: `${f.path} : est la source elle-même`,
    fix: "Choisissez un autre nom pour la sortie.",
  }),
  "disk-too-small": (f) => ({
    what: `${f.path} : demande encore ${formatBytes(f.neededBytes)}, et le disque a ${formatBytes(f.freeBytes)} de libre`,
    fix: "Faites de la place, écrivez sur un autre disque, ou choisissez un type de moins de bits.",
  }),
  "conversion-disk-full": (f) => ({
    what: `${f.path} : le disque est plein`,
    fix: "Faites de la place et relancez la même commande : elle reprend où elle s'est arrêtée.",
  }),
  "conversion-different": (f) => ({
    what: `${f.path}.part : a été commencé autrement (${f.difference})`,
    fix: "Relancez la commande qui l'a commencé pour le finir, ou donnez --restart pour recommencer.",
  }),
  "conversion-journal-unreadable": (f) => ({
    what: `${f.path}.part : ne peut être continué : son journal manque ou est illisible`,
    fix: "Donnez --restart pour recommencer.",
  }),
  "conversion-interrupted": (f) => ({
    what: `${f.path} : pas terminé`,
    fix: "Relancez la même commande : elle reprend où elle s'est arrêtée.",
  }),
  "conversion-crashed": (f) => ({
    what: `${f.path} : le processus qui convertit s'est arrêté (${f.signal})${f.log ? ` :\n${f.log}` : ""}`,
    fix: "Relancez la même commande : elle reprend où elle s'est arrêtée. S'il s'arrête encore là, signalez-le.",
  }),
  "conversion-unverified": (f) => ({
    what: `${f.path} : llama.cpp ne peut charger ce qui a été écrit${f.log ? ` :\n${f.log}` : ""}`,
    fix: "La source n'est pas un modèle entier, ou c'est un défaut de jauge : signalez-le avec la commande.",
  }),
  "source-unrunnable": (f) => ({
    what: `${f.path} : llama.cpp ne pourrait exécuter ce qu'il deviendrait : ${f.field} : ${f.problem}`,
    fix: f.field.startsWith("tokenizer.")
      ? "Rien n'a été écrit. Donnez le tokenizer du modèle d'origine : --tokenizer FICHIER-OU-DOSSIER. Un GGUF est à refaire depuis son original."
      : "Rien n'a été écrit. La source est abîmée ou n'est pas un modèle entier : téléchargez-la de nouveau, ou prenez-la ailleurs.",
  }),
  "source-unloadable": (f) => ({
    what: `${f.path} : llama.cpp ne pourrait charger ce qu'il deviendrait${f.log ? ` :\n${f.log}` : ""}`,
    fix: "Rien n'a été écrit. La source n'est pas un modèle entier, ou c'est un défaut de jauge : signalez-le avec la commande.",
  }),
  "split-not": (f) => ({
    what: `${f.path} : n'est pas la partie d'un modèle divisé`,
    fix: "Nommez la première partie : MODELE-00001-of-0000N.gguf.",
  }),
};

export const convertErrors = { en, fr };

const differencesEn = {
  other: (f: { before: string; now: string }) => `from ${f.before}, now from ${f.now}`,
  changed: "its source has changed since",
  setting: (f: { name: string; before: string | undefined; now: string | undefined }) =>
    `${f.name} was ${f.before ?? "not given"}, now ${f.now ?? "not given"}`,
  settings: "another importance matrix or other metadata",
  versions: (f: { before: string; now: string }) => `by ${f.before}, now ${f.now}`,
};
const differencesFr: typeof differencesEn = {
  other: (f) => `depuis ${f.before}, maintenant depuis ${f.now}`,
  changed: "sa source a changé depuis",
  setting: (f) => `${f.name} : avant ${f.before ?? "rien"}, maintenant ${f.now ?? "rien"}`,
  settings: "une autre matrice d'importance ou d'autres métadonnées",
  versions: (f) => `par ${f.before}, maintenant ${f.now}`,
};
/** Why an unfinished conversion cannot be continued. */
export const differences = { en: differencesEn, fr: differencesFr };

const notesEn = {
  "tokens-left-out": (f: { path: string; tokens: number; rows: number; first: string }) =>
    f.tokens === 1
      ? `${f.path}: the token ${JSON.stringify(f.first)} is left out: the embedding has ${f.rows} rows, none for it`
      : `${f.path}: ${f.tokens} tokens from ${JSON.stringify(f.first)} on are left out: the embedding has ${f.rows} rows, none for them`,
};
const notesFr: typeof notesEn = {
  "tokens-left-out": (f) =>
    f.tokens === 1
      ? `${f.path} : le token ${JSON.stringify(f.first)} est laissé de côté : l'embedding a ${f.rows} lignes, aucune pour lui`
      : `${f.path} : ${f.tokens} tokens à partir de ${JSON.stringify(f.first)} sont laissés de côté : l'embedding a ${f.rows} lignes, aucune pour eux`,
};
/** What a person should know of a source, by the `kind` of a note. */
export const sourceNotes = { en: notesEn, fr: notesFr };
