//! What the workers do with a job.
