import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";
import { placed } from "./place.js";

/** What counts in a header announce: it ends early where there is no room for all. */
const counted: Record<string, { en: string; fr: string } | undefined> = {
  tensor_count: { en: "the list of its tensors", fr: "la liste de ses tenseurs" },
  metadata_kv_count: { en: "its metadata", fr: "la suite de ses métadonnées" },
};

const en = {
  "file-unreadable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: cannot be read (${f.reason})`,
    fix: "Check the path and that you may read the file.",
  }),
  "file-unwritable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: cannot be written (${f.reason})`,
    fix: "Check that the folder exists, that you may write there and that the disk has room.",
  }),
  "not-a-gguf": (f: { path: string; looksLike: string; advice: string }): ErrorText => ({
    what: `${f.path}: is no GGUF file (${f.looksLike})`,
    fix: f.advice,
  }),
  "gguf-version": (f: { path: string; version: number }): ErrorText => ({
    what: `${f.path}: GGUF version ${f.version} is not supported (1, 2 and 3 are)`,
    fix: "Update jauge, or download a GGUF of version 3.",
  }),
  "gguf-version-one": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is a GGUF of version 1, which llama.cpp no longer runs`,
    fix: `Write it anew, nothing is lost: jauge convert ${f.path} --type auto -o NEW.gguf`,
  }),
  "gguf-big-endian": (f: { path: string }): ErrorText => ({
    what: `${f.path}: was written for big-endian machines`,
    fix: "Download the little-endian file of this model, or turn this one round with llama.cpp's gguf_convert_endian.py.",
  }),
  "gguf-truncated": (f: {
    path: string;
    field: string;
    missingBytes: number;
    fileBytes: number;
  }): ErrorText => ({
    what: `${f.path}: is not whole: it ends after ${formatBytes(f.fileBytes)}, and ${counted[f.field]?.en ?? f.field} takes ${formatBytes(f.missingBytes)} more`,
    fix: "The download or copy stopped early, or a length in the file is wrong. Download the file again.",
  }),
  "gguf-malformed": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "The file is damaged or was not written as GGUF. Download or convert it again.",
  }),
  "gguf-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "The file is GGUF, but no model llama.cpp can run. Download it from another source, or convert the original model again.",
  }),
  "gguf-architecture-unknown": (f: { path: string; architecture: string }): ErrorText => ({
    what: `${f.path}: llama.cpp v0.5.0 does not know the architecture "${f.architecture}"`,
    fix: "Choose another model, or update jauge if the architecture is newer than this version.",
  }),
  "gguf-shard-missing": (f: { path: string; shard: number; count: number }): ErrorText => ({
    what: `${f.path}: part ${f.shard} of ${f.count} of this model is not there`,
    fix: "Download the missing part into the same folder. All parts keep their original names.",
  }),
};

const fr: typeof en = {
  "file-unreadable": (f) => ({
    what: `${f.path} : lecture impossible (${f.reason})`,
    fix: "Vérifiez le chemin et vos droits de lecture sur le fichier.",
  }),
  "file-unwritable": (f) => ({
    what: `${f.path} : écriture impossible (${f.reason})`,
    fix: "Vérifiez que le dossier existe, que vous pouvez y écrire et qu'il reste de la place sur le disque.",
  }),
  "not-a-gguf": (f) => ({
    what: `${f.path} : n'est pas un fichier GGUF (${f.looksLike})`,
    fix: f.advice,
  }),
  "gguf-version": (f) => ({
    what: `${f.path} : la version ${f.version} de GGUF n'est pas prise en charge (1, 2 et 3 le sont)`,
    fix: "Mettez jauge à jour, ou téléchargez un GGUF en version 3.",
  }),
  "gguf-version-one": (f) => ({
    what: `${f.path} : est un GGUF de version 1, que llama.cpp n'exécute plus`,
    fix: `Réécrivez-le, rien n'est perdu : jauge convert ${f.path} --type auto -o NOUVEAU.gguf`,
  }),
  "gguf-big-endian": (f) => ({
    what: `${f.path} : a été écrit pour des machines gros-boutistes`,
    fix: "Téléchargez le fichier petit-boutiste de ce modèle, ou convertissez celui-ci avec gguf_convert_endian.py de llama.cpp.",
  }),
  "gguf-truncated": (f) => ({
    what: `${f.path} : n'est pas entier : il s'arrête après ${formatBytes(f.fileBytes)}, et ${counted[f.field]?.fr ?? f.field} en demande ${formatBytes(f.missingBytes)} de plus`,
    fix: "Le téléchargement ou la copie s'est arrêté trop tôt, ou une longueur du fichier est fausse. Téléchargez-le de nouveau.",
  }),
  "gguf-malformed": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Le fichier est abîmé ou n'est pas un GGUF correct. Téléchargez-le ou convertissez-le de nouveau.",
  }),
  "gguf-invalid": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "C'est un fichier GGUF, mais pas un modèle que llama.cpp sait exécuter. Téléchargez-le ailleurs, ou reconvertissez le modèle d'origine.",
  }),
  "gguf-architecture-unknown": (f) => ({
    what: `${f.path} : llama.cpp v0.5.0 ne connaît pas l'architecture « ${f.architecture} »`,
    fix: "Choisissez un autre modèle, ou mettez jauge à jour si l'architecture est plus récente que cette version.",
  }),
  "gguf-shard-missing": (f) => ({
    what: `${f.path} : la partie ${f.shard} sur ${f.count} de ce modèle est absente`,
    fix: "Téléchargez la partie manquante dans le même dossier. Toutes les parties gardent leur nom d'origine.",
  }),
};

export const ggufErrors = { en, fr };

const reasonsEn = {
  ENOENT: "there is no such file",
  noFolder: "the folder does not exist",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a folder",
  ENOTDIR: "part of the path is no folder",
  EINVAL: "it is no regular file",
  ENOSPC: "the disk is full",
  EROFS: "the disk is read-only",
  EIO: "the disk failed",
  ENAMETOOLONG: "the path is too long",
};
const reasonsFr: typeof reasonsEn = {
  ENOENT: "le fichier n'existe pas",
  noFolder: "le dossier n'existe pas",
  EACCES: "permission refusée",
  EPERM: "permission refusée",
  EISDIR: "c'est un dossier",
  ENOTDIR: "une partie du chemin n'est pas un dossier",
  EINVAL: "ce n'est pas un fichier ordinaire",
  ENOSPC: "le disque est plein",
  EROFS: "le disque est en lecture seule",
  EIO: "erreur du disque",
  ENAMETOOLONG: "le chemin est trop long",
};
/** Why a system call failed, by its errno name. */
export const fileReasons = { en: reasonsEn, fr: reasonsFr };
