const windowsEn = (count: number) => `${count} ${count === 1 ? "window" : "windows"}`;
const windowsFr = (count: number) => `${count} ${count === 1 ? "fenêtre" : "fenêtres"}`;

const en = {
  stopping: "stopping after this window; Ctrl-C again ends at once…",
  imatrix: {
    description: "Compute an importance matrix: which columns of its matrices matter to a model, by a text",
    model: "model file (GGUF), best unquantised (F16, BF16) or Q8_0",
    text: "the text to compute it on; the English and French text that comes with jauge where absent",
    output: "where to write it (imatrix.gguf)",
    format: "gguf, or the older .dat (by the name of the output)",
    ctxSize: "tokens of a window (512)",
    chunks: "most windows of the text",
    saveEvery: "windows between two saves; 0: only at the end (10)",
    processOutput: "take in the output matrix",
    parseSpecial: "read control tokens where the text names them",
    inFile: "add what this file has, of the same model; can be repeated",
    resume: "go on where the output file ends",
    force: "replace the output file",
    progress: (f: { chunk: number; chunks: number; perplexity: string; speed: string }) =>
      `window ${f.chunk} of ${f.chunks}, perplexity ${f.perplexity}, ${f.speed} tokens/s`,
    done: (f: { path: string; matrices: number; chunks: number; computed: number; perplexity?: string }) =>
      `${f.path}: ${f.matrices} matrices, ${windowsEn(f.chunks)}${f.perplexity ? `, perplexity ${f.perplexity}` : ""}` +
      (f.perplexity && f.computed < f.chunks ? ` over the ${f.computed} computed now` : ""),
    partial: (f: { count: number; example: string }) =>
      f.count === 1
        ? `${f.example}: some of its experts were never used; more text may reach them`
        : `${f.count} tensors have experts that were never used (${f.example}, …); more text may reach them`,
  },
  compare: {
    description:
      "What quantisation costs: perplexity, divergence from the first file, size and speed of several files",
    models: "model files (GGUF); the others are held against the first",
    text: "the text to measure on; English and French chapters that come with jauge where absent",
    ctxSize: "tokens of a window (512)",
    chunks: "most windows of the text",
    temporaryFolder:
      "folder for the first model's predictions, 2 bytes a token of the vocabulary and position",
    progress: (f: { model: string; chunk: number; chunks: number; perplexity: string }) =>
      `${f.model}: window ${f.chunk} of ${f.chunks}, perplexity ${f.perplexity}`,
    columns: {
      model: "model",
      type: "type",
      size: "size",
      bits: "bits/weight",
      perplexity: "perplexity",
      ratio: "× first",
      meanDivergence: "mean KL",
      percentile99: "99 % KL",
      greatest: "max KL",
      sameTop: "same top",
      prompt: "prompt t/s",
      generation: "answer t/s",
    },
    note: (f: { windows: number; size: number; scored: number }) =>
      `${windowsEn(f.windows)} of ${f.size} tokens, ${f.scored} scored (the second half of each), as llama.cpp's perplexity tool ` +
      "cuts a text. KL: divergence from the first file's predictions, in nats. Same top: positions at which both find the " +
      "same token most probable.",
  },
  target: {
    description:
      "Make it fit: quantise so that the file has a size, each tensor in the type that loses least",
    model: "model file (GGUF) or anything that jauge convert takes",
    size: "most bytes of the file: 11.2GB, 8GiB",
    output: "file to write",
    imatrix: "importance matrix: weighs errors, and allows types of fewer bits",
    types: "types to choose from, such as Q3_K,Q4_K,Q6_K",
    sampledElements: "elements of each tensor that are quantised to see what is lost (65536)",
    dryRun: "show the types and write nothing",
    allowRequantize: "quantise again what is quantised already",
    expectedSize: "a size such as 11.2GB or 8GiB",
    measuring: "measuring",
    measured: (f: { tensors: number; types: number }) =>
      `measuring ${f.tensors} ${f.tensors === 1 ? "tensor" : "tensors"} at ${f.types} types`,
    searched: (f: { types: string }) => `; ${f.types} take most of the time, and --types can leave them out`,
    summary: (f: { size: string; bytes: string; bits: string; error: string; types: string }) =>
      `${f.bytes} of ${f.size}: ${f.bits} bits/weight, expected error of the output ${f.error}; ${f.types}`,
    largest: (f: { bytes: string }) => `these types make ${f.bytes} at most: nothing is gained by more`,
    columns: { tensor: "tensor", shape: "shape", from: "from", type: "to", bytes: "size", error: "error" },
  },
};

const fr: typeof en = {
  stopping: "arrêt après cette fenêtre ; un second Ctrl-C arrête aussitôt…",
  imatrix: {
    description:
      "Calculer une matrice d'importance : quelles colonnes de ses matrices comptent pour un modèle, d'après un texte",
    model: "fichier du modèle (GGUF), de préférence non quantifié (F16, BF16) ou Q8_0",
    text: "le texte sur lequel la calculer ; celui, anglais et français, fourni avec jauge s'il manque",
    output: "où l'écrire (imatrix.gguf)",
    format: "gguf, ou l'ancien .dat (selon le nom du fichier)",
    ctxSize: "jetons d'une fenêtre (512)",
    chunks: "nombre maximal de fenêtres du texte",
    saveEvery: "fenêtres entre deux enregistrements ; 0 : seulement à la fin (10)",
    processOutput: "prendre aussi la matrice de sortie",
    parseSpecial: "lire les jetons de contrôle que le texte nomme",
    inFile: "ajouter ce que contient ce fichier, du même modèle ; peut être répété",
    resume: "continuer là où le fichier s'arrête",
    force: "remplacer le fichier",
    progress: (f) => `fenêtre ${f.chunk} sur ${f.chunks}, perplexité ${f.perplexity}, ${f.speed} jetons/s`,
    done: (f) =>
      `${f.path} : ${f.matrices} matrices, ${windowsFr(f.chunks)}${f.perplexity ? `, perplexité ${f.perplexity}` : ""}` +
      (f.perplexity && f.computed < f.chunks ? ` sur les ${f.computed} calculées à présent` : ""),
    partial: (f) =>
      f.count === 1
        ? `${f.example} : certains de ses experts n'ont jamais servi ; un texte plus long peut les atteindre`
        : `${f.count} tenseurs ont des experts qui n'ont jamais servi (${f.example}, …) ; un texte plus long peut les atteindre`,
  },
  compare: {
    description:
      "Ce que coûte la quantification : perplexité, divergence d'avec le premier fichier, taille et vitesse de plusieurs fichiers",
    models: "fichiers de modèles (GGUF) ; les autres sont comparés au premier",
    text: "le texte de mesure ; des chapitres anglais et français fournis avec jauge s'il manque",
    ctxSize: "jetons d'une fenêtre (512)",
    chunks: "nombre maximal de fenêtres du texte",
    temporaryFolder:
      "dossier des prédictions du premier modèle, 2 octets par jeton du vocabulaire et position",
    progress: (f) => `${f.model} : fenêtre ${f.chunk} sur ${f.chunks}, perplexité ${f.perplexity}`,
    columns: {
      model: "modèle",
      type: "type",
      size: "taille",
      bits: "bits/poids",
      perplexity: "perplexité",
      ratio: "× premier",
      meanDivergence: "KL moyenne",
      percentile99: "KL 99 %",
      greatest: "KL max",
      sameTop: "même choix",
      prompt: "invite t/s",
      generation: "réponse t/s",
    },
    note: (f) =>
      `${windowsFr(f.windows)} de ${f.size} jetons, ${f.scored} évalués (la seconde moitié de chacune), ${f.windows === 1 ? "découpée" : "découpées"} comme par l'outil ` +
      "perplexity de llama.cpp. KL : divergence d'avec les prédictions du premier fichier, en nats. Même choix : positions " +
      "où les deux trouvent le même jeton le plus probable.",
  },
  target: {
    description:
      "Faire tenir : quantifier pour que le fichier ait une taille, chaque tenseur dans le type qui perd le moins",
    model: "fichier du modèle (GGUF), ou tout ce que prend jauge convert",
    size: "taille maximale du fichier : 11.2GB, 8GiB",
    output: "fichier à écrire",
    imatrix: "matrice d'importance : pondère les erreurs, et permet des types de moins de bits",
    types: "types parmi lesquels choisir, comme Q3_K,Q4_K,Q6_K",
    sampledElements: "éléments de chaque tenseur quantifiés pour voir ce qui se perd (65536)",
    dryRun: "montrer les types sans rien écrire",
    allowRequantize: "quantifier encore ce qui l'est déjà",
    expectedSize: "une taille comme 11.2GB ou 8GiB",
    measuring: "mesure",
    measured: (f) => `mesure de ${f.tensors} ${f.tensors === 1 ? "tenseur" : "tenseurs"} en ${f.types} types`,
    searched: (f) => ` ; ${f.types} prennent le plus de temps, et --types peut les omettre`,
    summary: (f) =>
      `${f.bytes} sur ${f.size} : ${f.bits} bits/poids, erreur attendue de la sortie ${f.error} ; ${f.types}`,
    largest: (f) => `ces types font au plus ${f.bytes} : davantage n'apporte rien`,
    columns: {
      tensor: "tenseur",
      shape: "forme",
      from: "de",
      type: "vers",
      bytes: "taille",
      error: "erreur",
    },
  },
};

export const compareTexts = { en, fr };
