/**
 * Public configurations that plans are shown and tested with. Sources: config.json of huggingface.co/meta-llama/
 * Llama-2-70b-hf and huggingface.co/openai/gpt-oss-120b, what does not concern the shape left out.
 */
export const exampleConfigs = {
  "llama-2-70b": {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 8192,
    intermediate_size: 28_672,
    max_position_embeddings: 4096,
    num_attention_heads: 64,
    num_hidden_layers: 80,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    tie_word_embeddings: false,
    vocab_size: 32_000,
  },
  "gpt-oss-120b": {
    architectures: ["GptOssForCausalLM"],
    model_type: "gpt_oss",
    attention_bias: true,
    head_dim: 64,
    hidden_size: 2880,
    initial_context_length: 4096,
    intermediate_size: 2880,
    max_position_embeddings: 131_072,
    num_attention_heads: 64,
    num_experts_per_tok: 4,
    num_hidden_layers: 36,
    num_key_value_heads: 8,
    num_local_experts: 128,
    quantization_config: { quant_method: "mxfp4" },
    rms_norm_eps: 1e-5,
    rope_scaling: {
      beta_fast: 32,
      beta_slow: 1,
      factor: 32,
      original_max_position_embeddings: 4096,
      rope_type: "yarn",
      truncate: false,
    },
    rope_theta: 150_000,
    sliding_window: 128,
    tie_word_embeddings: false,
    vocab_size: 201_088,
  },
} as const;
