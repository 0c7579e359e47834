"""Rules of attention, one a module: `dense`, `top_k`, `window`; a module's class of its own name is the rule."""
