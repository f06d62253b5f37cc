//! One file for each kind of job.

pub(crate) mod crossing;
pub(crate) mod group;
pub(crate) mod last_word;
pub(crate) mod provision;
pub(crate) mod report;
pub(crate) mod verify;
pub(crate) mod withdraw;
