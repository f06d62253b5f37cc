//! Readers for the places users come from.
