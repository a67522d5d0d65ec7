/**
 * The architectures llama.cpp v0.5.0 runs as language models on their own. Source: LLM_ARCH_NAMES in
 * src/llama-arch.cpp, without `gptj`, which has no implementation, and without those of `parts`.
 */
export const architectures = names(`
  llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bert modern-bert nomic-bert
  nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen qwen2 qwen2moe qwen2vl
  qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe plamo plamo2
  plamo3 codeshell orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 gemma-embedding
  starcoder2 mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo olmo2
  olmoe muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4
  glm4moe glm-dsa bitnet t5 t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4
  exaone-moe rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch granite_swa
  chameleon plm bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee afmoe laguna ernie4_5
  ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3 gpt-oss lfm2 lfm2moe dream
  smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01 hrm_text minimax-m2 minimax-m3
  cogvlm rnd1 pangu-embedded mistral3 mistral4 paddleocr mimo2 step35 spark2_5 llama-embed maincoder
  kimi-linear kimi-k3 talkie mellum nanbeige qwen3tts
`);

/**
 * Files that are only a part of something: projectors, draft heads that share another model's weights, decoders of
 * sound. llama.cpp ends its process when one is run like a language model.
 */
export const parts = names(`
  clip eagle3 dflash gemma4-assistant wavtokenizer-dec pockettts
`);

/**
 * The architectures that keep a recurrent state instead of a KV cache. Source: llm_arch_is_recurrent.
 */
export const withoutAttention = names(`
  mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7
`);

/**
 * The architectures whose graph asserts that K and V heads have one size. Source: GGML_ASSERT in src/models/*.cpp.
 */
export const sameHeadSizes = names(`
  afmoe apertus arcee arctic baichuan bailingmoe2 bert nomic-bert nomic-bert-moe jina-bert-v2
  jina-bert-v3 bitnet bloom chameleon chatglm codeshell cogvlm cohere2 cohere2moe command-r dbrx deci
  deepseek dots1 dream ernie4_5-moe ernie4_5 eurobert exaone falcon glm4moe glm4 gpt2 gptneox
  granitehybrid granite_swa graniteswitch granite granitemoe minicpm grok grovemoe hunyuan-moe
  hunyuan_vl hunyuan-dense hy_v3 internlm2 jais jais2 laguna llada-moe llada llama llama-embed llama4
  maincoder mellum minimax-01 minimax-m2 minimax-m3 mistral3 modern-bert mpt muse-glimmer nanbeige
  nemotron_h_moe nemotron_h nemotron neo-bert olmo olmo2 olmoe openelm orion paddleocr pangu-embedded
  phi2 phi3 phimoe plamo qwen qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl
  qwen3tts qwen3vlmoe qwen4exp refact rnd1 seed_oss smallthinker smollm3 spark2_5 stablelm starcoder
  starcoder2 t5 t5encoder xverse exaone-moe exaone4 maple talkie
`);

/**
 * The architectures whose graph asserts that RoPE turns the whole head. Source: GGML_ASSERT in src/models/*.cpp.
 */
export const wholeHeadRope = names(`
  apertus arcee arctic baichuan chameleon codeshell cogvlm cohere2moe dbrx deci deepseek dots1 dream
  ernie4_5-moe ernie4_5 exaone-moe exaone exaone4 falcon granite_swa graniteswitch granite granitemoe
  minicpm grok grovemoe hunyuan-moe hunyuan_vl hunyuan-dense hy_v3 internlm2 jais2 llada-moe llada llama
  llama-embed llama4 maincoder mellum mistral3 olmo olmo2 olmoe orion paddleocr pangu-embedded plamo
  qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3tts qwen3vlmoe rnd1 seed_oss smallthinker smollm3
  starcoder2 talkie xverse
`);

/** The architectures whose RoPE turns by the sections of `rope.dimension_sections`. Source: llama_model_rope_type. */
export const sectionedRope = names(`
  qwen2vl paddleocr qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp qwen3tts
`);

/** The architectures that assert to have experts. Source: GGML_ASSERT in src/models/*.cpp. */
export const expertsOnly = names(`
  bailingmoe2 glm4moe grovemoe lfm2moe llada-moe smallthinker
`);

function names(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/));
}
