"""The forward pass of a Llama-type model written down plainly, token by token and head by head in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def logits(tensors: Mapping[str, Any], config: Mapping[str, Any], tokens: list[int]) -> np.ndarray:
    """Word scores float64[T, vocab] after each of the tokens."""
    weights = {name: np.asarray(values, np.float64) for name, values in tensors.items()}
    states = [weights["model.embed_tokens.weight"][token] for token in tokens]
    for layer in range(config["num_hidden_layers"]):
        own = {
            name.removeprefix(f"model.layers.{layer}."): values
            for name, values in weights.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        states = _layer(own, config, states)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return np.array([head @ _norm(state, weights["model.norm.weight"], config) for state in states])


def _layer(own: dict[str, np.ndarray], config: Mapping[str, Any], states: list[np.ndarray]) -> list[np.ndarray]:
    width = config["head_dim"]
    n_heads, n_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    queries, keys, values = [], [], []
    for position, state in enumerate(states):
        normed = _norm(state, own["input_layernorm.weight"], config)
        q, k, v = (_linear(own, f"self_attn.{name}_proj", normed).reshape(-1, width) for name in "qkv")
        if "self_attn.q_norm.weight" in own:
            q = np.array([_norm(head, own["self_attn.q_norm.weight"], config) for head in q])
            k = np.array([_norm(head, own["self_attn.k_norm.weight"], config) for head in k])
        queries.append([_turned(head, position, config) for head in q])
        keys.append([_turned(head, position, config) for head in k])
        values.append(v)
    found = []
    for position, state in enumerate(states):
        oldest = 0
        if config.get("sliding_window") is not None:
            oldest = max(0, position - config["sliding_window"] + 1)
        outputs = []
        for head in range(n_heads):
            own_kv = head // (n_heads // n_kv_heads)
            seen = range(oldest, position + 1)
            scores = np.array([queries[position][head] @ keys[i][own_kv] / np.sqrt(width) for i in seen])
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            outputs.append(sum(share * values[i][own_kv] for share, i in zip(shares, seen, strict=True)))
        after = state + _linear(own, "self_attn.o_proj", np.concatenate(outputs))
        normed = _norm(after, own["post_attention_layernorm.weight"], config)
        gate, up = _linear(own, "mlp.gate_proj", normed), _linear(own, "mlp.up_proj", normed)
        found.append(after + _linear(own, "mlp.down_proj", gate / (1 + np.exp(-gate)) * up))
    return found


def _linear(own: dict[str, np.ndarray], name: str, inputs: np.ndarray) -> np.ndarray:
    return own[f"{name}.weight"] @ inputs + own.get(f"{name}.bias", 0)


def _norm(values: np.ndarray, weight: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    return values / np.sqrt(np.mean(values**2) + config["rms_norm_eps"]) * weight


def _turned(head: np.ndarray, position: int, config: Mapping[str, Any]) -> np.ndarray:
    half = len(head) // 2
    found = np.empty_like(head)
    for pair in range(half):
        angle = position * _frequency(pair, half, config)
        found[pair] = head[pair] * np.cos(angle) - head[pair + half] * np.sin(angle)
        found[pair + half] = head[pair + half] * np.cos(angle) + head[pair] * np.sin(angle)
    return found


def _frequency(pair: int, half: int, config: Mapping[str, Any]) -> float:
    """As transformers has it: long waves stretched, short ones not, those between by a ramp."""
    plain = float(config.get("rope_theta", 10000.0) ** (-pair / half))
    scaling = config.get("rope_scaling")
    if scaling is None:
        return plain
    if scaling["rope_type"] == "linear":
        return plain / scaling["factor"]
    wave = 2 * np.pi / plain
    context = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    if wave > context / low:
        return plain / scaling["factor"]
    if wave < context / high:
        return plain
    smooth = (context / wave - low) / (high - low)
    return (1 - smooth) * plain / scaling["factor"] + smooth * plain
