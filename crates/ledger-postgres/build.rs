//! Makes cargo notice a new migration: `sqlx::migrate!` sees only files it knew.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/postgres");
}
