"""The families written in Triton, for GPUs: one module each, whose function has the family's name and signature.

Images are float32, float64, bfloat16 or float16; sums are kept in float32 (float64 for float64). Nothing here is
imported before the first call, because importing Triton takes a second.
"""
