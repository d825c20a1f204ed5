"""Small modules without knowledge of the rest: errors, files, flags, images, signals, progress.

May import no other package of this repository. Start with `util.errors` and `util.files`.
"""
