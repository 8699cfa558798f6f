"""The one door to the compiled kernels: Arrow in, Arrow out."""
