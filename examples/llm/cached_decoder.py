"""A transformers model as a module that `torchtrt_ws.save` takes: a decoder with its cache in buffers."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel, StaticCache
from transformers.cache_utils import StaticLayer

__all__ = ["Decoder"]


class Decoder(torch.nn.Module):
    """Token ids, and where they stand, to the logits of the token behind them.

    One method for prompts and for single tokens. Keys and values of all tokens so far stay in buffers from call to
    call. What lies in them behind `start` is never looked at: a new conversation begins at 0.

    Args:
        model: A causal language model of transformers, such as Llama or Qwen.
        tokens: How many tokens the cache holds.
    """

    def __init__(self, model: PreTrainedModel, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.model = model
        config = model.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.cache = StaticCache(config=config, max_cache_len=tokens)
        self.cache.early_initialization(1, config.num_key_value_heads, size, model.dtype, model.device)
        self.layers = [layer for layer in self.cache.layers if type(layer) is StaticLayer]
        if len(self.layers) < len(self.cache.layers):
            raise ValueError("found layers with a sliding window; expected a model whose layers see all tokens")
        for index, layer in enumerate(self.layers):
            self.register_buffer(f"keys_{index}", layer.keys, persistent=False)
            self.register_buffer(f"values_{index}", layer.values, persistent=False)
        self.eval()

    def forward(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Runs the model.

        Args:
            ids: int64 [1, count], the tokens.
            start: int64 [1], the position of the first of them: how many came before.

        Returns:
            [1, vocabulary]: for the token behind the last.
        """
        positions = torch.arange(ids.shape[1], device=ids.device) + start
        for index, layer in enumerate(self.layers):
            # torch.export knows buffers of modules, and this is none.
            layer.keys, layer.values = getattr(self, f"keys_{index}"), getattr(self, f"values_{index}")
            layer.cumulative_length = start.clone()  # it adds to it
        seen = torch.arange(self.tokens, device=ids.device)[None, :] <= positions[:, None]
        hidden = self.model.model(
            input_ids=ids,
            attention_mask=seen[None, None],
            position_ids=positions[None],
            cache=self.cache,
            use_cache=True,
        ).last_hidden_state
        return self.model.lm_head(hidden[:, -1])
