import type { ErrorText } from "./error-text.js";

/** Why an option does nothing. */
const unusedEn = {
  stated: "the source says it itself",
  tokenizer: "this kind of tokenizer has no choice of pre-tokenizers; byte-level BPE has",
  plain: "no tensor is to be quantised",
};
const unusedFr: typeof unusedEn = {
  stated: "la source le dit elle-même",
  tokenizer: "cette sorte de tokenizer n'a pas le choix du pré-découpeur ; celle du BPE par octets l'a",
  plain: "aucun tenseur n'est à quantifier",
};

const en = {
  "option-invalid": (f: { option: string; value: string; expected: string }): ErrorText => ({
    what: `${f.option} "${f.value}": expected ${f.expected}`,
    fix: "Correct it. What each option takes, the command's --help says.",
  }),
  "option-unsupported": (f: { option: string; value: string; instead: string }): ErrorText => ({
    what: `${f.option} ${f.value} is not supported`,
    fix: `Use ${f.instead}.`,
  }),
  "options-conflict": (f: { option: string; other: string }): ErrorText => ({
    what: `${f.option} and ${f.other} exclude each other`,
    fix: "Give only one of them.",
  }),
  "option-needs": (f: { option: string; other: string }): ErrorText => ({
    what: `${f.option} needs ${f.other}`,
    fix: `Add ${f.other}, or leave ${f.option} out.`,
  }),
  "option-unused": (f: { path: string; option: string; reason: keyof typeof unusedEn }): ErrorText => ({
    what: `${f.path}: ${f.option} would change nothing: ${unusedEn[f.reason]}`,
    fix: `Leave ${f.option} out.`,
  }),
  "option-missing": (f: { command: string; option: string }): ErrorText => ({
    what: `${f.command} needs ${f.option}`,
    fix: `Add ${f.option}. See ${f.command} --help.`,
  }),
  "usage-wrong": (f: { problem: string; command: string }): ErrorText => ({
    what: f.problem,
    fix: `See ${f.command} --help.`,
  }),
  "command-unknown": (f: { command: string; known: string }): ErrorText => ({
    what: `There is no command "${f.command}"`,
    fix: `Commands: ${f.known}. To use it as a prompt: jauge run -p "${f.command}"`,
  }),
  "model-missing": (f: { path: string; isPromptless?: boolean }): ErrorText => ({
    what: `${f.path}: there is no such model file`,
    fix: `Check the path.${f.isPromptless ? "" : ' For a prompt to the embedded model: jauge run -p "…"'}`,
  }),
  "model-is-config": (f: { path: string; folder: string }): ErrorText => ({
    what: `${f.path}: is the configuration of a model that is not converted yet`,
    fix: `Make one file of it first: jauge convert ${f.folder} -o model.gguf. jauge plan takes it as it is.`,
  }),
  "model-is-folder": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is a folder, and no model file`,
    fix: `Make one file of it first: jauge convert ${f.path} -o model.gguf. Where it holds a .gguf file, name that.`,
  }),
  "model-remote": (f: { path: string; url?: string }): ErrorText => ({
    what: `${f.path}: is on the web; what reads weights needs them on this disk`,
    fix: f.url
      ? `Download it, then give the file: curl -fL -C - -O '${f.url}'. jauge plan takes the address itself, to see beforehand whether it fits.`
      : "Download all its files into a folder and make a model of them: jauge convert FOLDER -o model.gguf. jauge plan takes the address itself, to see beforehand whether it fits.",
  }),
  "prompt-missing": (_: Record<string, never>): ErrorText => ({
    what: "There is no prompt, and no terminal to chat in",
    fix: "Give a prompt as an argument, with -p or --file, or on standard input (--file - waits for it).",
  }),
  "text-missing": (_: Record<string, never>): ErrorText => ({
    what: "There is no text",
    fix: "Give it as an argument, with --file, or on standard input.",
  }),
  "input-too-large": (f: { source: string; limit: string }): ErrorText => ({
    what: `${f.source}: is larger than ${f.limit}`,
    fix: "Give a smaller text: no model reads that much at once.",
  }),
  "json-invalid": (f: { source: string; problem: string }): ErrorText => ({
    what: `${f.source}: is no valid JSON (${f.problem})`,
    fix: "Correct it; `jq . FILE` shows where it breaks.",
  }),
  "conversation-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${f.path}: ${f.field}: ${f.problem}`,
    fix: "Load a file that /save wrote, or write one of the same shape.",
  }),
  "setting-unknown": (f: { setting: string; known: string }): ErrorText => ({
    what: `There is no setting "${f.setting}"`,
    fix: `Settings: ${f.known}.`,
  }),
};

const fr: typeof en = {
  "option-invalid": (f) => ({
    what: `${f.option} « ${f.value} » : attendu : ${f.expected}`,
    fix: "Corrigez-la. L'aide de la commande (--help) dit ce que prend chaque option.",
  }),
  "option-unsupported": (f) => ({
    what: `${f.option} ${f.value} n'est pas pris en charge`,
    fix: `Utilisez ${f.instead}.`,
  }),
  "options-conflict": (f) => ({
    what: `${f.option} et ${f.other} s'excluent`,
    fix: "N'en donnez qu'une.",
  }),
  "option-needs": (f) => ({
    what: `${f.option} demande ${f.other}`,
    fix: `Ajoutez ${f.other}, ou retirez ${f.option}.`,
  }),
  "option-unused": (f) => ({
    what: `${f.path} : ${f.option} ne changerait rien : ${unusedFr[f.reason]}`,
    fix: `Retirez ${f.option}.`,
  }),
  "option-missing": (f) => ({
    what: `${f.command} a besoin de ${f.option}`,
    fix: `Ajoutez ${f.option}. Voyez ${f.command} --help.`,
  }),
  "usage-wrong": (f) => ({
    what: f.problem,
    fix: `Voyez ${f.command} --help.`,
  }),
  "command-unknown": (f) => ({
    what: `Aucune commande ne s'appelle « ${f.command} »`,
    fix: `Commandes : ${f.known}. Pour en faire une invite : jauge run -p "${f.command}"`,
  }),
  "model-missing": (f) => ({
    what: `${f.path} : ce fichier de modèle n'existe pas`,
    fix: `Vérifiez le chemin.${f.isPromptless ? "" : ' Pour une invite au modèle embarqué : jauge run -p "…"'}`,
  }),
  "model-is-config": (f) => ({
    what: `${f.path} : c'est la configuration d'un modèle qui n'est pas encore converti`,
    fix: `Faites-en d'abord un fichier : jauge convert ${f.folder} -o model.gguf. jauge plan la prend telle quelle.`,
  }),
  "model-is-folder": (f) => ({
    what: `${f.path} : est un dossier, pas un fichier de modèle`,
    fix: `Faites-en d'abord un fichier : jauge convert ${f.path} -o model.gguf. S'il contient un fichier .gguf, nommez-le.`,
  }),
  "model-remote": (f) => ({
    what: `${f.path} : est sur le web ; ce qui lit des poids les veut sur ce disque`,
    fix: f.url
      ? `Téléchargez-le, puis donnez le fichier : curl -fL -C - -O '${f.url}'. jauge plan prend l'adresse elle-même, pour voir d'avance si cela tient.`
      : "Téléchargez tous ses fichiers dans un dossier et faites-en un modèle : jauge convert DOSSIER -o model.gguf. jauge plan prend l'adresse elle-même, pour voir d'avance si cela tient.",
  }),
  "prompt-missing": () => ({
    what: "Il n'y a pas d'invite, ni de terminal où discuter",
    fix: "Donnez une invite en argument, avec -p ou --file, ou sur l'entrée standard (--file - l'attend).",
  }),
  "text-missing": () => ({
    what: "Il n'y a pas de texte",
    fix: "Donnez-le en argument, avec --file, ou sur l'entrée standard.",
  }),
  "input-too-large": (f) => ({
    what: `${f.source} : dépasse ${f.limit}`,
    fix: "Donnez un texte plus court : aucun modèle n'en lit autant d'un coup.",
  }),
  "json-invalid": (f) => ({
    what: `${f.source} : n'est pas du JSON valide (${f.problem})`,
    fix: "Corrigez-le ; `jq . FICHIER` montre où il est rompu.",
  }),
  "conversation-invalid": (f) => ({
    what: `${f.path} : ${f.field} : ${f.problem}`,
    fix: "Chargez un fichier écrit par /save, ou écrivez-en un de même forme.",
  }),
  "setting-unknown": (f) => ({
    what: `Aucun réglage ne s'appelle « ${f.setting} »`,
    fix: `Réglages : ${f.known}.`,
  }),
};

export const cliErrors = { en, fr };
