"""Migration policies, one a module, found by its name: `kind: anb` is the class Anb of `anb`.

Times and sizes of a policy are in its `Config`; `Config.scaled(factor)` gives one for a footprint that is so many times
smaller than the policy was made for.
"""
