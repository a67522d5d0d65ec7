import type { ErrorText } from "./error-text.js";
import { placed } from "./place.js";

const en = {
  "adapter-unrecognised": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is no folder with an adapter_config.json, as LoRA adapters have it`,
    fix: "Name the adapter's folder, as PEFT writes it: adapter_config.json and adapter_model.safetensors or .bin. A GGUF adapter is not merged: give it to jauge run --lora.",
  }),
  "adapter-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${placed(f)}: ${f.problem}`,
    fix: "The adapter is damaged or its files belong to different ones. Download adapter_config.json and adapter_model again.",
  }),
  "adapter-unsupported": (f: { path: string; feature: string }): ErrorText => ({
    what: `${f.path}: ${f.feature} is not supported`,
    fix: "Merge this adapter with the tool that made it (merge_and_unload of PEFT) and convert the result.",
  }),
  "adapter-base-differs": (f: {
    path: string;
    base: string;
    tensor: string;
    problem: string;
  }): ErrorText => ({
    what: `${f.path}: was not made for ${f.base}: ${f.tensor}: ${f.problem}`,
    fix: "Name the base model that adapter_config.json mentions.",
  }),
  "adapter-needs-merging": (f: { path: string; tensor: string; reason: string }): ErrorText => ({
    what: `${f.path}: ${f.tensor}: ${f.reason}, which no GGUF adapter can hold`,
    fix: "Merge it into the model instead: jauge convert BASE --lora ADAPTER -o MODEL.gguf",
  }),
  "adapter-needs-original": (f: { path: string; architecture: string; known: string[] }): ErrorText => ({
    what: `${f.path}: adapters cannot be merged into converted models of the architecture ${f.architecture}`,
    fix: `Name the folder of the original model (config.json and its weights). Converted models that take adapters: ${f.known.join(", ")}.`,
  }),
  "delta-unrecognised": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is no delta that --base could be added to`,
    fix: "A delta is a folder with config.json and weights (Vicuna, Alpaca) or a file of EasyLM's (Koala). Name it as the source and the original model with --base; to merge a LoRA adapter, give --lora.",
  }),
  "delta-differs": (f: { path: string; base: string; tensor: string; problem: string }): ErrorText => ({
    what: `${f.path}: is no delta of ${f.base}: ${f.tensor}: ${f.problem}`,
    fix: "Name the original model that the delta was made from, as published by Hugging Face or Meta.",
  }),
  "delta-base-converted": (f: { path: string; base: string; architecture: string }): ErrorText => ({
    what: `${f.base}: is a converted model of the architecture ${f.architecture}; ${f.path} could be added to one of LLaMA's (llama)`,
    fix: "Name the folder of the original model with --base (config.json and its weights): it works for every architecture.",
  }),
  "delta-new-rows": (f: { path: string; base: string; tensor: string; rows: number }): ErrorText => ({
    what: `${f.path}: ${f.tensor} has ${f.rows} ${f.rows === 1 ? "row" : "rows"} more than that of ${f.base}, and a delta does not say what was subtracted from those`,
    fix: "Give --new-rows mean for Stanford Alpaca (the mean of the base's rows), --new-rows zeros for Vicuna.",
  }),
  "checkpoint-alone": (f: { path: string }): ErrorText => ({
    what: `${f.path}: is a file of EasyLM's, which says nothing of heads and tokens`,
    fix: "For a delta (Koala), name the original model with --base: a folder with config.json or params.json, and tokenizer.model. For a whole model, put config.json and tokenizer.model beside the file.",
  }),
};

const fr: typeof en = {
  "adapter-unrecognised": (f) => ({
    what: `${f.path} : n'est pas un dossier avec adapter_config.json, comme l'est un adaptateur LoRA`,
    fix: "Donnez le dossier de l'adaptateur, tel que PEFT l'écrit : adapter_config.json et adapter_model.safetensors ou .bin. Un adaptateur GGUF ne se fusionne pas : donnez-le à jauge run --lora.",
  }),
  "adapter-invalid": (f) => ({
    what: `${placed(f, " : ")} : ${f.problem}`,
    fix: "L'adaptateur est abîmé ou ses fichiers viennent d'adaptateurs différents. Téléchargez de nouveau adapter_config.json et adapter_model.",
  }),
  "adapter-unsupported": (f) => ({
    what: `${f.path} : ${f.feature} n'est pas pris en charge`,
    fix: "Fusionnez cet adaptateur avec l'outil qui l'a fait (merge_and_unload de PEFT), puis convertissez le résultat.",
  }),
  "adapter-base-differs": (f) => ({
    what: `${f.path} : n'est pas fait pour ${f.base} : ${f.tensor} : ${f.problem}`,
    fix: "Donnez le modèle de base que nomme adapter_config.json.",
  }),
  "adapter-needs-merging": (f) => ({
    what: `${f.path} : ${f.tensor} : ${f.reason}, ce qu'aucun adaptateur GGUF ne peut contenir`,
    fix: "Fusionnez-le plutôt dans le modèle : jauge convert BASE --lora ADAPTATEUR -o MODELE.gguf",
  }),
  "adapter-needs-original": (f) => ({
    what: `${f.path} : on ne peut pas fusionner d'adaptateur dans un modèle converti d'architecture ${f.architecture}`,
    fix: `Donnez le dossier du modèle d'origine (config.json et ses poids). Modèles convertis qui prennent des adaptateurs : ${f.known.join(", ")}.`,
  }),
  "delta-unrecognised": (f) => ({
    what: `${f.path} : n'est pas un delta auquel --base puisse s'ajouter`,
    fix: "Un delta est un dossier avec config.json et des poids (Vicuna, Alpaca) ou un fichier d'EasyLM (Koala). Donnez-le comme source, et le modèle d'origine avec --base ; pour fusionner un adaptateur LoRA, donnez --lora.",
  }),
  "delta-differs": (f) => ({
    what: `${f.path} : n'est pas un delta de ${f.base} : ${f.tensor} : ${f.problem}`,
    fix: "Donnez le modèle d'origine dont le delta a été tiré, au format Hugging Face ou de Meta.",
  }),
  "delta-base-converted": (f) => ({
    what: `${f.base} : est un modèle converti d'architecture ${f.architecture} ; ${f.path} ne peut s'ajouter qu'à un LLaMA converti (llama)`,
    fix: "Donnez avec --base le dossier du modèle d'origine (config.json et ses poids) : cela vaut pour toute architecture.",
  }),
  "delta-new-rows": (f) => ({
    what: `${f.path} : ${f.tensor} a ${f.rows} ${f.rows === 1 ? "ligne" : "lignes"} de plus que celui de ${f.base}, et un delta ne dit pas ce qui en a été soustrait`,
    fix: "Donnez --new-rows mean pour Stanford Alpaca (la moyenne des lignes du modèle de base), --new-rows zeros pour Vicuna.",
  }),
  "checkpoint-alone": (f) => ({
    what: `${f.path} : est un fichier d'EasyLM, qui ne dit rien des têtes ni des tokens`,
    fix: "Pour un delta (Koala), donnez le modèle d'origine avec --base : un dossier avec config.json ou params.json, et tokenizer.model. Pour un modèle entier, mettez config.json et tokenizer.model à côté du fichier.",
  }),
};

export const adapterErrors = { en, fr };

const problemsEn = {
  missing: () => "is missing",
  notA: (f: { expected: string }) => `is no ${f.expected}`,
  pattern: () => "is no pattern of module names",
  noPair: () => "has only one of the two matrices of a LoRA",
  noModules: () => "holds no LoRA matrices",
  rank: (f: { found: string; rank: number }) => `has shape ${f.found}, its configuration says rank ${f.rank}`,
  notFloat: (f: { type: string }) => `holds ${f.type}, no floating-point numbers`,
  notMatrix: (f: { shape: string }) => `is ${f.shape}, no matrix`,
  notInBase: () => "the base has no such tensor",
  notInDelta: () => "the delta has no such tensor",
  shape: (f: { shape: string; base: string }) => `${f.shape} does not fit the base's ${f.base}`,
  replaces: () => "is trained as a whole",
  experts: () => "is one expert of a mixture",
  notConverted: () => "is no matrix of the converted model",
};
const problemsFr: typeof problemsEn = {
  missing: () => "est absent",
  notA: (f) => `n'est pas de type ${f.expected}`,
  pattern: () => "n'est pas un motif de noms de modules",
  noPair: () => "n'a qu'une des deux matrices d'un LoRA",
  noModules: () => "ne contient aucune matrice LoRA",
  rank: (f) => `est de forme ${f.found}, sa configuration dit rang ${f.rank}`,
  notFloat: (f) => `contient ${f.type}, pas de nombres à virgule flottante`,
  notMatrix: (f) => `est ${f.shape}, pas une matrice`,
  notInBase: () => "le modèle de base n'a pas ce tenseur",
  notInDelta: () => "le delta n'a pas ce tenseur",
  shape: (f) => `${f.shape} ne va pas avec ${f.base} du modèle de base`,
  replaces: () => "est entraîné en entier",
  experts: () => "est un expert d'un mélange",
  notConverted: () => "n'est pas une matrice du modèle converti",
};
/** What can be wrong with a part of an adapter or a delta. */
export const adapterProblems = { en: problemsEn, fr: problemsFr };

const cliEn = {
  description: "Write a LoRA adapter of PEFT as a GGUF adapter, for --lora",
  folder: "folder of the adapter: adapter_config.json and adapter_model.safetensors or .bin",
  options: {
    base: "the model it was trained on: its folder or config.json (no weights are needed), or a converted one",
    output: "file to write (the adapter's name with .gguf)",
    force: "replace a file that is there already",
  },
  done: (f: { path: string; bytes: string; pairs: number; architecture: string }) =>
    `${f.path}: ${f.bytes}, ${f.pairs} matrices of a ${f.architecture} model`,
};
const cliFr: typeof cliEn = {
  description: "Écrit un adaptateur LoRA de PEFT en adaptateur GGUF, pour --lora",
  folder: "dossier de l'adaptateur : adapter_config.json et adapter_model.safetensors ou .bin",
  options: {
    base: "le modèle sur lequel il a été entraîné : son dossier ou config.json (les poids ne servent pas), ou un modèle converti",
    output: "fichier à écrire (le nom de l'adaptateur avec .gguf)",
    force: "remplace un fichier qui existe déjà",
  },
  done: (f) => `${f.path} : ${f.bytes}, ${f.pairs} matrices d'un modèle ${f.architecture}`,
};
/** The command `jauge adapter`. */
export const adapterCommandMessages = { en: cliEn, fr: cliFr };

const mergingEn = {
  heading: "Merging:",
  options: {
    lora: "LoRA adapters of PEFT to merge into the weights (folders)",
    loraScaled: "LoRA adapters with a scale each",
    base: "the model that the source is a delta of (Vicuna, Alpaca, Koala): a folder of Hugging Face's or Meta's, or a GGUF",
    newRows: "what a delta's base had for added tokens: zeros (Vicuna), mean (Alpaca)",
  },
};
const mergingFr: typeof mergingEn = {
  heading: "Fusion :",
  options: {
    lora: "adaptateurs LoRA de PEFT à fusionner dans les poids (dossiers)",
    loraScaled: "adaptateurs LoRA, chacun avec un facteur",
    base: "le modèle dont la source est un delta (Vicuna, Alpaca, Koala) : un dossier de Hugging Face ou de Meta, ou un GGUF",
    newRows: "ce que la base d'un delta avait pour les tokens ajoutés : zeros (Vicuna), mean (Alpaca)",
  },
};
/** What `jauge convert` merges. */
export const mergingMessages = { en: mergingEn, fr: mergingFr };
