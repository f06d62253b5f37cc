//! Start and stop of logs.
