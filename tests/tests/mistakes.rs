//! What the compiler says of the mistakes in `mistakes/`: each of its programs starts with lines that have to stand in
//! the error.

use std::{collections::HashMap, fs, path::Path, process::Command};

use serde_json::Value;

#[test]
fn each_mistake_is_explained() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("mistakes");
    // The workspace's own versions, which are there already.
    fs::copy(package.join("../../Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--bins", "--keep-going", "--offline", "--quiet", "--message-format=json"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes"))
        .output()
        .unwrap();
    let mut errors: HashMap<String, String> = HashMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        if report["message"]["level"] == "error" {
            let program = report["target"]["name"].as_str().unwrap().to_owned();
            errors.entry(program).or_default().push_str(report["message"]["rendered"].as_str().unwrap());
        }
    }

    let programs: Vec<_> = fs::read_dir(package.join("src/bin")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!programs.is_empty());
    for program in programs {
        let source = fs::read_to_string(&program).unwrap();
        let name = program.file_stem().unwrap().to_str().unwrap();
        let said = errors
            .get(name)
            .unwrap_or_else(|| panic!("{name} compiles, or nothing does: {}", String::from_utf8_lossy(&output.stderr)));
        let expected: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        assert!(!expected.is_empty(), "{name} expects nothing");
        for line in expected {
            assert!(said.contains(line), "{name} should say {line:?}, and says:\n{said}");
        }
    }
}
