//! The tenant's rate limit, kept by one process.
