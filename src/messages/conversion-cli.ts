/** The texts of `jauge convert`, `jauge quantize`, `jauge split` and `jauge merge`. */
const en = {
  convert: {
    description: "Make a GGUF file from a model as it was published, quantised on the way",
    source: "folder or file of the model; what it is, its content says",
  },
  quantize: {
    description: "Quantise a GGUF model",
    input: "model file (GGUF), or any part of a split one",
    output: "file to write",
    type: "quantisation mix: Q4_K_M, Q5_K_S, IQ4_XS, Q8_0, BF16, …",
  },
  split: {
    description: "Divide a GGUF model into several files",
    input: "model file (GGUF)",
    output: "name the parts begin with: OUT-00001-of-00003.gguf",
    limits: "--max-size or --max-tensors",
  },
  merge: {
    description: "Join the parts of a split GGUF model into one file",
    input: "the first part, or any other",
    output: "file to write",
  },
  options: {
    output: "file to write; named after the source and the type where absent",
    type: "quantisation mix, or auto for the source's own 16-bit type (Q4_K_M)",
    tensorType: "type of the tensors whose name matches: attn_v=Q6_K; the first that matches counts",
    outputTensorType: "type of the output matrix",
    tokenEmbeddingType: "type of the token embeddings",
    pure: "the mix's usual type for every tensor",
    imatrix: "importance matrix to quantise with (GGUF or .dat)",
    allowRequantize: "quantise again what is quantised already",
    keepSplit: "as many parts as the source has",
    pre: "name of the pre-tokenizer, where its fingerprint is unknown: llama-bpe, qwen2, …",
    tokenizer: "tokenizer.model, tokenizer.json or folder to take the tokenizer from",
    name: "the model's name",
    contextLength: "tokens the model was trained for; for GGML files of 2023 and Meta's checkpoints",
    rmsEpsilon: "epsilon of the RMS norms; for GGML files of 2023 and Meta's checkpoints",
    ropeFreqBase: "base of RoPE's frequencies; for GGML files of 2023 and Meta's checkpoints",
    dryRun: "show what would be written, tensor by tensor, and write nothing",
    restart: "forget what an interrupted start has done",
    force: "replace a file that is there already",
    threads: "CPU threads to quantise with",
    json: "print events as JSON, one in each line",
    maxSize: "most bytes of tensor data in each part: 2GB, 500MiB",
    maxTensors: "most tensors in each part",
  },
  headings: { source: "What the source does not say:", types: "Types:", writing: "Writing:" },
  expected: {
    mix: (f: { known: string }) => `one of ${f.known}`,
    tensorType: (f: { known: string }) =>
      `PATTERN=TYPE, with a regular expression over tensor names and one of ${f.known}`,
    pattern: (f: { pattern: string }) =>
      `a regular expression over tensor names before =, which "${f.pattern}" is not`,
    typeOfTensors: (f: { named: string; known: string }) =>
      `a type behind =, which "${f.named}" is not: one of ${f.known}`,
    size: "a size such as 2GB or 500MiB",
  },
  columns: {
    tensor: "tensor",
    shape: "shape",
    from: "from",
    type: "type",
    bytes: "bytes",
    weighted: "weighted",
  },
  total: (f: { tensors: number; before: string; bytes: string; bits: string }) =>
    `${f.tensors} tensors, ${f.before} → ${f.bytes} of weights, ${f.bits} bits each`,
  converting: (f: { path: string }) => `writing ${f.path}`,
  continuing: (f: { percent: number }) => `continuing: ${f.percent} % were done`,
  verifying: "reading it back…",
  stopping: "stopping; what is done is kept…",
  done: (f: { path: string; bytes: string; seconds: string; rate: string; peak: string }) =>
    `${f.path}: ${f.bytes} in ${f.seconds} s (${f.rate}/s read), ${f.peak} of memory at most`,
  parts: (f: { count: number }) => `${f.count} files`,
};

const fr: typeof en = {
  convert: {
    description: "Fait un fichier GGUF d'un modèle tel qu'il a été publié, en le quantifiant au passage",
    source: "dossier ou fichier du modèle ; son contenu dit ce qu'il est",
  },
  quantize: {
    description: "Quantifie un modèle GGUF",
    input: "fichier du modèle (GGUF), ou une partie d'un modèle divisé",
    output: "fichier à écrire",
    type: "mélange de quantification : Q4_K_M, Q5_K_S, IQ4_XS, Q8_0, BF16, …",
  },
  split: {
    description: "Divise un modèle GGUF en plusieurs fichiers",
    input: "fichier du modèle (GGUF)",
    output: "nom par lequel commencent les parties : OUT-00001-of-00003.gguf",
    limits: "--max-size ou --max-tensors",
  },
  merge: {
    description: "Réunit les parties d'un modèle GGUF divisé en un fichier",
    input: "la première partie, ou une autre",
    output: "fichier à écrire",
  },
  options: {
    output: "fichier à écrire ; à défaut, nommé d'après la source et le type",
    type: "mélange de quantification, ou auto pour le type 16 bits de la source (Q4_K_M)",
    tensorType: "type des tenseurs dont le nom correspond : attn_v=Q6_K ; le premier qui correspond compte",
    outputTensorType: "type de la matrice de sortie",
    tokenEmbeddingType: "type des plongements de jetons",
    pure: "le type habituel du mélange pour tous les tenseurs",
    imatrix: "matrice d'importance pour quantifier (GGUF ou .dat)",
    allowRequantize: "quantifie de nouveau ce qui l'est déjà",
    keepSplit: "autant de parties que la source",
    pre: "nom du pré-découpeur, où son empreinte est inconnue : llama-bpe, qwen2, …",
    tokenizer: "tokenizer.model, tokenizer.json ou dossier d'où prendre le tokenizer",
    name: "nom du modèle",
    contextLength:
      "jetons de l'entraînement du modèle ; pour les fichiers GGML de 2023 et les modèles de Meta",
    rmsEpsilon: "epsilon des normes RMS ; pour les fichiers GGML de 2023 et les modèles de Meta",
    ropeFreqBase: "base des fréquences de RoPE ; pour les fichiers GGML de 2023 et les modèles de Meta",
    dryRun: "montre ce qui serait écrit, tenseur par tenseur, sans rien écrire",
    restart: "oublie ce qu'un début interrompu a fait",
    force: "remplace un fichier qui existe déjà",
    threads: "fils du processeur pour quantifier",
    json: "affiche les événements en JSON, un par ligne",
    maxSize: "octets de tenseurs au plus dans chaque partie : 2GB, 500MiB",
    maxTensors: "tenseurs au plus dans chaque partie",
  },
  headings: { source: "Ce que la source ne dit pas :", types: "Types :", writing: "Écriture :" },
  expected: {
    mix: (f) => `un parmi ${f.known}`,
    tensorType: (f) =>
      `MOTIF=TYPE, avec une expression régulière sur les noms de tenseurs et un parmi ${f.known}`,
    pattern: (f) =>
      `une expression régulière sur les noms de tenseurs avant =, ce que « ${f.pattern} » n'est pas`,
    typeOfTensors: (f) => `un type après =, ce que « ${f.named} » n'est pas : un parmi ${f.known}`,
    size: "une taille comme 2GB ou 500MiB",
  },
  columns: {
    tensor: "tenseur",
    shape: "forme",
    from: "de",
    type: "type",
    bytes: "octets",
    weighted: "pondéré",
  },
  total: (f) => `${f.tensors} tenseurs, ${f.before} → ${f.bytes} de poids, ${f.bits} bits chacun`,
  converting: (f) => `écriture de ${f.path}`,
  continuing: (f) => `reprise : ${f.percent} % étaient faits`,
  verifying: "relecture…",
  stopping: "arrêt ; ce qui est fait est gardé…",
  done: (f) =>
    `${f.path} : ${f.bytes} en ${f.seconds.replace(".", ",")} s (${f.rate}/s lus), ${f.peak} de mémoire au plus`,
  parts: (f) => `${f.count} fichiers`,
};

export const conversionMessages = { en, fr };
