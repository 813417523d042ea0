"""``smp move``: what a program's uses of segmentation_models_pytorch become here, and its imports rewritten.

`sources` and `notebooks` read files, `finding` finds the uses in their syntax trees, `native` is the table of what each
becomes and `calls` carries the arguments over, `rewriting` changes the imports, `report` says it all. Nothing here
imports torch, nor anything of the program that is read.
"""
