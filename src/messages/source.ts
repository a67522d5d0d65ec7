import { formatBytes } from "../units.js";
import type { ErrorText } from "./error-text.js";
import { placed } from "./place.js";

const en = {
  "source-no-ranges": (f: { path: string }): ErrorText => ({
    what: `${f.path}: the server sends whole files only, so the header cannot be read without all the weights`,
    fix: "Download the file and name it here, or use another server (Hugging Face sends parts).",
  }),
  "source-not-found": (f: { path: string }): ErrorText => ({
    what: `${f.path}: the server has no such file`,
    fix: "Check the address: the owner, the repository and the file name are case-sensitive.",
  }),
  "source-forbidden": (f: { path: string; status: number }): ErrorText => ({
    what: `${f.path}: the server refuses access (HTTP ${f.status})`,
    fix: "For a gated or private model, accept its conditions on its page and set HF_TOKEN to your access token.",
  }),
  "source-http": (f: { path: string; status: number }): ErrorText => ({
    what: `${f.path}: the server answered with an error (HTTP ${f.status})`,
    fix: "Try again in a while, or open the address in a browser to see what is wrong.",
  }),
  "source-unreachable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: cannot be reached (${f.reason})`,
    fix: "Check the address and the network connection.",
  }),
  "source-timeout": (f: { path: string; seconds: number }): ErrorText => ({
    what: `${f.path}: the server sent nothing for ${f.seconds} s`,
    fix: "Try again in a while, or download the file with a tool that resumes.",
  }),
  "source-incomplete": (f: { path: string; expectedBytes: number; receivedBytes: number }): ErrorText => ({
    what: `${f.path}: an answer ended after ${formatBytes(f.receivedBytes)} of ${formatBytes(f.expectedBytes)}`,
    fix: "The connection or a proxy cuts answers short. Try again, or download the file.",
  }),
  "source-changed": (f: { path: string }): ErrorText => ({
    what: `${f.path}: changed on the server while its header was read`,
    fix: "Run the command again.",
  }),
  "source-header-long": (f: { path: string; limitBytes: number }): ErrorText => ({
    what: `${f.path}: its header is longer than ${formatBytes(f.limitBytes)}`,
    fix: "No model has such a header: the file is damaged. Choose another one.",
  }),
  "source-unrecognised": (f: { path: string; expected: string }): ErrorText => ({
    what: `${f.path}: is no model source (expected: ${f.expected})`,
    fix: "Name a .gguf file, its http(s) address, hf:owner/repository/file.gguf, or a folder or address with a config.json.",
  }),
  "source-config-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "Take config.json from the model's own page, unchanged.",
  }),
  "source-config-unknown": (f: { path: string; architecture: string; known: string[] }): ErrorText => ({
    what: `${f.path}: "${f.architecture}" is no kind of model that is known here`,
    fix: `Take a GGUF of it instead. Known kinds: ${f.known.join(", ")}.`,
  }),
  "source-mix-unknown": (f: { mix: string; known: string[] }): ErrorText => ({
    what: `"${f.mix}" is no quantisation mix`,
    fix: `Choose one of: ${f.known.join(", ")}.`,
  }),
};

const fr: typeof en = {
  "source-no-ranges": (f) => ({
    what: `${f.path} : le serveur n'envoie que des fichiers entiers, l'en-tête ne peut être lu sans tous les poids`,
    fix: "Téléchargez le fichier et donnez son chemin, ou prenez un autre serveur (Hugging Face envoie des parties).",
  }),
  "source-not-found": (f) => ({
    what: `${f.path} : le serveur n'a pas ce fichier`,
    fix: "Vérifiez l'adresse : le propriétaire, le dépôt et le nom du fichier distinguent les majuscules.",
  }),
  "source-forbidden": (f) => ({
    what: `${f.path} : le serveur refuse l'accès (HTTP ${f.status})`,
    fix: "Pour un modèle à accès restreint, acceptez ses conditions sur sa page et donnez votre jeton dans HF_TOKEN.",
  }),
  "source-http": (f) => ({
    what: `${f.path} : le serveur a répondu par une erreur (HTTP ${f.status})`,
    fix: "Réessayez plus tard, ou ouvrez l'adresse dans un navigateur pour voir ce qui ne va pas.",
  }),
  "source-unreachable": (f) => ({
    what: `${f.path} : injoignable (${f.reason})`,
    fix: "Vérifiez l'adresse et la connexion au réseau.",
  }),
  "source-timeout": (f) => ({
    what: `${f.path} : le serveur n'a rien envoyé pendant ${f.seconds} s`,
    fix: "Réessayez plus tard, ou téléchargez le fichier avec un outil qui sait reprendre.",
  }),
  "source-incomplete": (f) => ({
    what: `${f.path} : une réponse s'est arrêtée à ${formatBytes(f.receivedBytes)} sur ${formatBytes(f.expectedBytes)}`,
    fix: "La connexion ou un serveur mandataire coupe les réponses. Réessayez, ou téléchargez le fichier.",
  }),
  "source-changed": (f) => ({
    what: `${f.path} : a changé sur le serveur pendant la lecture de son en-tête`,
    fix: "Relancez la commande.",
  }),
  "source-header-long": (f) => ({
    what: `${f.path} : son en-tête dépasse ${formatBytes(f.limitBytes)}`,
    fix: "Aucun modèle n'a un tel en-tête : le fichier est abîmé. Prenez-en un autre.",
  }),
  "source-unrecognised": (f) => ({
    what: `${f.path} : n'est pas une source de modèle (attendu : ${f.expected})`,
    fix: "Donnez un fichier .gguf, son adresse http(s), hf:propriétaire/dépôt/fichier.gguf, ou un dossier ou une adresse avec un config.json.",
  }),
  "source-config-invalid": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "Prenez le config.json de la page du modèle, sans modification.",
  }),
  "source-config-unknown": (f) => ({
    what: `${f.path} : « ${f.architecture} » n'est pas un genre de modèle connu ici`,
    fix: `Prenez plutôt un GGUF du modèle. Les genres connus : ${f.known.join(", ")}.`,
  }),
  "source-mix-unknown": (f) => ({
    what: `« ${f.mix} » n'est pas un mélange de quantification`,
    fix: `Choisissez parmi : ${f.known.join(", ")}.`,
  }),
};

export const sourceErrors = { en, fr };

const problemsEn = {
  missing: () => "is missing",
  notA: (f: { expected: string }) => `is no ${f.expected}`,
  notNumbers: (f: { count: number }) => `is no list of ${f.count} numbers`,
  outOfRange: (f: { value: number; low: number; high: number }) =>
    `${f.value} is outside ${f.low} to ${f.high}`,
  notMultiple: (f: { value: number; of: number; what: string }) =>
    `${f.value} is no multiple of ${f.what} (${f.of})`,
  notJson: () => "is no valid JSON",
  tooLong: (f: { limitBytes: number }) => `is longer than ${formatBytes(f.limitBytes)}`,
  unsupported: (f: { value: string }) => `llama.cpp runs no such model with ${f.value}`,
  empty: () => "holds neither a config.json nor a .gguf file",
  several: (f: { files: string }) => `holds several models (${f.files}): name one of them`,
};
const problemsFr: typeof problemsEn = {
  missing: () => "est absent",
  notA: (f) => `n'est pas de type ${f.expected}`,
  notNumbers: (f) => `n'est pas une liste de ${f.count} nombres`,
  outOfRange: (f) => `${f.value} sort de l'intervalle de ${f.low} à ${f.high}`,
  notMultiple: (f) => `${f.value} n'est pas un multiple de ${f.what} (${f.of})`,
  notJson: () => "n'est pas du JSON valide",
  tooLong: (f) => `dépasse ${formatBytes(f.limitBytes)}`,
  unsupported: (f) => `llama.cpp n'exécute aucun modèle de ce genre avec ${f.value}`,
  empty: () => "ne contient ni config.json ni fichier .gguf",
  several: (f) => `contient plusieurs modèles (${f.files}) : donnez le nom de l'un d'eux`,
};
/** What can be wrong with a configuration or a folder: the `problem` of `source-config-invalid`. */
export const sourceProblems = { en: problemsEn, fr: problemsFr };
