//! The clock on the wall jumps: who sets it must not end sessions by it.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn c73_the_wall_clock_is_read_in_one_place() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut readers = Vec::new();
    let mut folders = vec![core.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path).unwrap().contains("SystemTime::now") {
                readers.push(path);
            }
        }
    }
    assert_eq!(readers, [PathBuf::from("clock.rs")].map(|file| core.join(file)));
}
