//! Words, rules and ports of Ferry; no input or output.
