"""What a model is to be, as one value: made of names and options, checked, and written down, before anything is built.

Nothing here imports torch.
"""
