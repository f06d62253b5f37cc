//! Transport of jobs; the only package that knows apalis.
