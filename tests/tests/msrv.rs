//! The oldest Rust that is promised is enough for all that is built. Of the standard library clippy sees to it
//! (`incompatible_msrv`).

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// What it asks for, if it says so.
    rust_version: Option<String>,
}

impl Package {
    fn is_too_new_for(&self, rust: (u32, u32)) -> bool {
        self.rust_version.as_deref().is_some_and(|version| minor(version) > rust)
    }
}

/// The first two numbers of a version: Rust changes what it has with these.
fn minor(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn no_dependency_wants_a_newer_rust_than_ours() {
    let cargo = Command::new(env!("CARGO")).args(["metadata", "--format-version=1", "--locked"]).output();
    let Metadata { packages } = serde_json::from_slice(&cargo.unwrap().stdout).unwrap();
    let ours = minor(env!("CARGO_PKG_RUST_VERSION"));
    let too_new = packages.iter().filter(|package| package.is_too_new_for(ours));
    let told: Vec<_> = too_new.map(|package| format!("{} {}", package.name, package.version)).collect();
    assert_eq!(told, [""; 0]);
    let asking = packages.iter().filter(|package| package.rust_version.is_some()).count();
    assert!(asking > 100, "{asking} packages are not all that say what they want");
}
