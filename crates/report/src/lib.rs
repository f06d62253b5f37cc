//! Tallies and verifications in, bytes out.
