const en = {
  description: "Shows what a model file holds: its size and shape, metadata, and where its bytes are",
  model:
    "a GGUF file (any part of a split model stands for all), a file or folder of safetensors or PyTorch weights, an adapter, or a GGML file of 2023",
  json: "print one JSON object instead",
  tensors: "list every tensor",
  examples: `
Examples:
  $ jauge inspect model.gguf                   the outline, metadata and bytes per layer
  $ jauge inspect model.gguf --tensors         every tensor as well
  $ jauge inspect big-00001-of-00003.gguf      all three parts
  $ jauge inspect Llama-2-7b-hf/               a folder of original weights
  $ jauge inspect model.gguf --json | jq .outline.contextLength
`,
  headings: {
    model: "Model",
    files: "Files",
    metadata: "Metadata",
    types: "Tensor types",
    bytes: "Bytes",
    tensors: "Tensors",
  },
  fields: {
    name: "name",
    path: "path",
    format: "format",
    bytes: "bytes",
    architecture: "architecture",
    parameters: "parameters",
    fileType: "quantisation",
    contextLength: "context length",
    hiddenSize: "hidden size",
    layers: "layers",
    heads: "attention heads",
    kvHeads: "KV heads",
    headSize: "head size K, V",
    feedForwardSize: "feed-forward size",
    slidingWindow: "sliding window",
    experts: "experts",
    vocabulary: "vocabulary",
    specialTokens: "special tokens",
    chatTemplate: "chat template",
    pooling: "pooling",
    runnable: "can be run",
  },
  yes: "yes",
  no: "no",
  tokens: (count: number) => `${count} tokens`,
  used: (count: number) => `${count} used for each token`,
  characters: (count: number) => `${count} characters`,
  items: (count: number) => `${count} items`,
  tensorsOf: (count: number) => (count === 1 ? "1 tensor" : `${count} tensors`),
  embedding: "embedding",
  output: "output",
  other: "other",
  each: "each",
  ofExperts: (size: string) => `of which experts ${size}`,
  total: "total",
  listHint: (count: number) => `${count} tensors; --tensors lists them`,
};

const fr: typeof en = {
  description:
    "Montre ce que contient un fichier de modèle : taille, forme, métadonnées et répartition des octets",
  model:
    "un fichier GGUF (une partie quelconque d'un modèle découpé vaut pour toutes), un fichier ou dossier de poids safetensors ou PyTorch, un adaptateur, ou un fichier GGML de 2023",
  json: "affiche un seul objet JSON à la place",
  tensors: "liste tous les tenseurs",
  examples: `
Exemples :
  $ jauge inspect modele.gguf                  la description, les métadonnées et les octets par couche
  $ jauge inspect modele.gguf --tensors        tous les tenseurs en plus
  $ jauge inspect gros-00001-of-00003.gguf     les trois parties
  $ jauge inspect Llama-2-7b-hf/               un dossier de poids d'origine
  $ jauge inspect modele.gguf --json | jq .outline.contextLength
`,
  headings: {
    model: "Modèle",
    files: "Fichiers",
    metadata: "Métadonnées",
    types: "Types de tenseurs",
    bytes: "Octets",
    tensors: "Tenseurs",
  },
  fields: {
    name: "nom",
    path: "chemin",
    format: "format",
    bytes: "octets",
    architecture: "architecture",
    parameters: "paramètres",
    fileType: "quantification",
    contextLength: "longueur de contexte",
    hiddenSize: "taille cachée",
    layers: "couches",
    heads: "têtes d'attention",
    kvHeads: "têtes KV",
    headSize: "taille de tête K, V",
    feedForwardSize: "taille feed-forward",
    slidingWindow: "fenêtre glissante",
    experts: "experts",
    vocabulary: "vocabulaire",
    specialTokens: "jetons spéciaux",
    chatTemplate: "modèle de dialogue",
    pooling: "pooling",
    runnable: "exécutable",
  },
  yes: "oui",
  no: "non",
  tokens: (count) => `${count} jetons`,
  used: (count) => `${count} utilisés par jeton`,
  characters: (count) => `${count} caractères`,
  items: (count) => `${count} éléments`,
  tensorsOf: (count) => (count === 1 ? "1 tenseur" : `${count} tenseurs`),
  embedding: "embedding",
  output: "sortie",
  other: "autres",
  each: "chacune",
  ofExperts: (size) => `dont experts ${size}`,
  total: "total",
  listHint: (count) => `${count} tenseurs ; --tensors les liste`,
};

export const inspectMessages = { en, fr };
