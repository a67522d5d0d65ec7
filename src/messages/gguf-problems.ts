import { formatBytes } from "../units.js";

const en = {
  // the file's structure
  wrongType: (f: { found: string; expected: string }) => `is ${f.found}, expected ${f.expected}`,
  wrongCount: (f: { found: number; expected: number }) => `has ${f.found} items, expected ${f.expected}`,
  impossibleCount: (f: { value: string }) => `${f.value} is more than any file holds`,
  tooMany: (f: { count: number; limit: number }) => `${f.count} is more than the ${f.limit} allowed`,
  tooLong: (f: { bytes: number; limit: number }) =>
    `is ${formatBytes(f.bytes)} long, more than the ${formatBytes(f.limit)} allowed`,
  textTooLong: (f: { limit: number }) => `the texts of the header pass ${formatBytes(f.limit)}`,
  unknownValueType: (f: { id: number }) => `has the unknown value type ${f.id}`,
  nestedArray: () => "is an array of arrays, which GGUF readers do not accept",
  notBoolean: (f: { value: number }) => `${f.value} is neither 0 nor 1`,
  empty: () => "is empty",
  notUtf8: () => "is not valid UTF-8",
  holdsNul: () => "holds a NUL character",
  duplicate: () => "occurs twice",
  badAlignment: (f: { value: number }) => `${f.value} is no power of two between 8 and 65536`,
  tooManyDimensions: (f: { count: number }) => `has ${f.count} dimensions, at most 4 are possible`,
  impossibleShape: (f: { shape: string }) => `the shape [${f.shape}] is impossible`,
  unknownTensorType: (f: { id: number }) => `has the unknown or removed tensor type ${f.id}`,
  notWholeBlocks: (f: { row: number; block: number; type: string }) =>
    `a row of ${f.row} elements is no multiple of the ${f.block} of ${f.type}`,
  misaligned: (f: { offset: number; alignment: number }) =>
    `starts at ${f.offset}, no multiple of the alignment ${f.alignment}`,
  overlaps: (f: { other: string }) => `overlaps ${f.other}`,
  // parts of a split model
  shardName: (f: { expected: string }) => `the name of this part does not end in "${f.expected}"`,
  shardValue: (f: { found: string; expected: string }) => `is ${f.found}, expected ${f.expected}`,
  shardTensors: (f: { found: number; expected: number }) =>
    `the parts hold ${f.found} tensors, the first part says ${f.expected}`,
  // the model
  missing: () => "is missing",
  outOfRange: (f: { value: number | string; low: number; high: number }) =>
    `${f.value} is outside ${f.low} to ${f.high}`,
  notFinitePositive: (f: { value: number }) => `${f.value} is no positive finite number`,
  notFinite: (f: { value: number }) => `${f.value} is no finite number`,
  notMultiple: (f: { value: number; of: number; what: string }) =>
    `${f.value} is no multiple of ${f.what} (${f.of})`,
  differs: (f: { value: number | string; expected: number | string; what: string }) =>
    `${f.value} differs from ${f.what} (${f.expected})`,
  notOneOf: (f: { value: string; allowed: string }) => `"${f.value}" is none of ${f.allowed}`,
  noWeights: () => "the file holds no model of its own (a projector, adapter or vocabulary)",
  notContiguous: (f: { offset: number; expected: number }) =>
    `its data starts at ${f.offset}, right behind the tensor before it would be ${f.expected}`,
  noLayerSlides: () => "no layer uses the sliding window that is set",
  unrunnableType: (f: { type: string }) => `no weight can have the type ${f.type}`,
  mustBeFloat: (f: { type: string }) => `is ${f.type}; a norm, bias or other vector must be F32`,
  tokenRepeated: (f: { first: number; second: number }) =>
    `tokens ${f.first} and ${f.second} are the same text`,
  tokenTooLong: (f: { token: number; bytes: number; limit: number }) =>
    `token ${f.token} is ${f.bytes} bytes long, more than the ${f.limit} allowed`,
  fewerThanTokens: (f: { count: number; tokens: number }) => `has ${f.count} items for ${f.tokens} tokens`,
  noByteTokens: (f: { byte: string }) => `has no token for the byte ${f.byte}, and no other way to write it`,
  badCharsmap: () => "the compiled character map points outside itself",
  badToken: (f: { token: number }) => `token ${f.token} cannot be read by this tokenizer`,
};

const fr: typeof en = {
  wrongType: (f) => `est de type ${f.found}, attendu : ${f.expected}`,
  wrongCount: (f) => `a ${f.found} éléments, attendu : ${f.expected}`,
  impossibleCount: (f) => `${f.value} dépasse ce qu'un fichier peut contenir`,
  tooMany: (f) => `${f.count} dépasse la limite de ${f.limit}`,
  tooLong: (f) => `long de ${formatBytes(f.bytes)}, au-delà de la limite de ${formatBytes(f.limit)}`,
  textTooLong: (f) => `les textes de l'en-tête dépassent ${formatBytes(f.limit)}`,
  unknownValueType: (f) => `a le type de valeur inconnu ${f.id}`,
  nestedArray: () => "est un tableau de tableaux, que les lecteurs GGUF n'acceptent pas",
  notBoolean: (f) => `${f.value} n'est ni 0 ni 1`,
  empty: () => "est vide",
  notUtf8: () => "n'est pas de l'UTF-8 correct",
  holdsNul: () => "contient un caractère NUL",
  duplicate: () => "apparaît deux fois",
  badAlignment: (f) => `${f.value} n'est pas une puissance de deux entre 8 et 65536`,
  tooManyDimensions: (f) => `a ${f.count} dimensions, 4 au plus sont possibles`,
  impossibleShape: (f) => `la forme [${f.shape}] est impossible`,
  unknownTensorType: (f) => `a le type de tenseur inconnu ou retiré ${f.id}`,
  notWholeBlocks: (f) => `une ligne de ${f.row} éléments n'est pas un multiple des ${f.block} de ${f.type}`,
  misaligned: (f) => `commence à ${f.offset}, qui n'est pas un multiple de l'alignement ${f.alignment}`,
  overlaps: (f) => `chevauche ${f.other}`,
  shardName: (f) => `le nom de cette partie ne finit pas par « ${f.expected} »`,
  shardValue: (f) => `vaut ${f.found}, attendu : ${f.expected}`,
  shardTensors: (f) => `les parties contiennent ${f.found} tenseurs, la première en annonce ${f.expected}`,
  missing: () => "est absent",
  outOfRange: (f) => `${f.value} sort de l'intervalle de ${f.low} à ${f.high}`,
  notFinitePositive: (f) => `${f.value} n'est pas un nombre fini positif`,
  notFinite: (f) => `${f.value} n'est pas un nombre fini`,
  notMultiple: (f) => `${f.value} n'est pas un multiple de ${f.what} (${f.of})`,
  differs: (f) => `${f.value} diffère de ${f.what} (${f.expected})`,
  notOneOf: (f) => `« ${f.value} » n'est pas parmi ${f.allowed}`,
  noWeights: () =>
    "le fichier ne contient pas de modèle complet (un projecteur, un adaptateur ou un vocabulaire)",
  notContiguous: (f) =>
    `ses données commencent à ${f.offset}, juste après le tenseur précédent ce serait ${f.expected}`,
  noLayerSlides: () => "aucune couche n'utilise la fenêtre glissante qui est définie",
  unrunnableType: (f) => `aucun poids ne peut avoir le type ${f.type}`,
  mustBeFloat: (f) => `est ${f.type} ; une norme, un biais ou un autre vecteur doit être F32`,
  tokenRepeated: (f) => `les jetons ${f.first} et ${f.second} sont le même texte`,
  tokenTooLong: (f) => `le jeton ${f.token} fait ${f.bytes} octets, au-delà de la limite de ${f.limit}`,
  fewerThanTokens: (f) => `a ${f.count} éléments pour ${f.tokens} jetons`,
  noByteTokens: (f) => `n'a pas de jeton pour l'octet ${f.byte}, ni d'autre moyen de l'écrire`,
  badCharsmap: () => "la table de caractères compilée pointe hors d'elle-même",
  badToken: (f) => `le jeton ${f.token} est illisible pour ce tokenizer`,
};

/** What can be wrong with a field of a GGUF file: the `problem` of `gguf-malformed` and `gguf-invalid`. */
export const ggufProblems = { en, fr };

const formatsEn = {
  safetensors: "it looks like safetensors",
  zip: "it looks like a PyTorch checkpoint or another zip archive",
  pickle: "it looks like an old PyTorch pickle",
  ggml: "it is one of the older GGML formats",
  lfsPointer: "it is a Git LFS pointer: the name of a file, not the file",
  html: "it is a web page",
  empty: "it is empty",
  unknown: "it begins as no known format does",
  convert: "Convert the model to GGUF first, or download a GGUF of it.",
  ggmlAdvice:
    "Convert the original model again, or download a GGUF of it: this format is read no more since 2023.",
  lfsAdvice: "Fetch the real file with `git lfs pull`, or download it from the model's page.",
  htmlAdvice: "Download the file itself rather than the page that shows it. The site may want you to log in.",
  downloadAgain: "Download the file again.",
  checkPath: "Check that this is the path of a .gguf file.",
};
const formatsFr: typeof formatsEn = {
  safetensors: "il ressemble à du safetensors",
  zip: "il ressemble à un checkpoint PyTorch ou à une autre archive zip",
  pickle: "il ressemble à un ancien pickle PyTorch",
  ggml: "c'est l'un des anciens formats GGML",
  lfsPointer: "c'est un pointeur Git LFS : le nom d'un fichier, pas le fichier",
  html: "c'est une page web",
  empty: "il est vide",
  unknown: "il ne commence comme aucun format connu",
  convert: "Convertissez d'abord le modèle en GGUF, ou téléchargez-en un GGUF.",
  ggmlAdvice:
    "Reconvertissez le modèle d'origine, ou téléchargez-en un GGUF : ce format n'est plus lu depuis 2023.",
  lfsAdvice: "Récupérez le vrai fichier avec `git lfs pull`, ou téléchargez-le depuis la page du modèle.",
  htmlAdvice:
    "Téléchargez le fichier lui-même, pas la page qui le montre. Le site demande peut-être une connexion.",
  downloadAgain: "Téléchargez le fichier de nouveau.",
  checkPath: "Vérifiez que c'est bien le chemin d'un fichier .gguf.",
};
/** What a file that is no GGUF looks like, and what to do with it. */
export const otherFormats = { en: formatsEn, fr: formatsFr };
