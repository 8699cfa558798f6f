//! Kernels on Arrow arrays.
