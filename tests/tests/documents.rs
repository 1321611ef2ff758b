//! The documents lead where they say, and no chapter of the guide is forgotten.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The Markdown files of a folder of the repository.
fn pages(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    assert!(!pages.is_empty(), "no page in {folder:?}");
    pages
}

/// A page without its code, which has neither links nor headings.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    let mut is_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// What a page's links lead to: `[…](target)` and `[…]: target`.
fn targets(prose: &str) -> impl Iterator<Item = &str> {
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = prose.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
    inline.chain(defined)
}

/// The names by which code hosts and mdBook let one link to a page's headings.
fn anchors(prose: &str) -> Vec<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let letters = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = letters.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Why a link leads nowhere, if it does.
fn fault(page: &Path, target: &str) -> Option<&'static str> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !file.exists() {
        return Some("there is no such file");
    }
    let is_missing = !anchor.is_empty() && !anchors(&prose(&file)).iter().any(|there| there == anchor);
    is_missing.then_some("there is no such heading")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut count, mut faults) = (0, Vec::new());
    for page in [pages(""), pages("docs")].concat() {
        for target in targets(&prose(&page)).filter(|target| !target.contains("://")) {
            count += 1;
            faults.extend(fault(&page, target).map(|fault| format!("{target} in {}: {fault}", page.display())));
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(count > 100, "{count} links are not all there are");
}

#[test]
fn a_link_to_nowhere_is_found_out() {
    let page = root().join("README.md");
    assert_eq!(fault(&page, "nowhere.md"), Some("there is no such file"));
    assert_eq!(fault(&page, "docs/wire.md#nowhere"), Some("there is no such heading"));
    assert_eq!(fault(&page, "docs/wire.md#the-envelope"), None);
    assert_eq!(targets("[a](b) [c\nd](e#f)\n\n[g]: h").collect::<Vec<_>>(), ["b", "e#f", "h"]);
}

#[test]
fn every_chapter_stands_in_the_summary_and_is_compiled() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let compiled = fs::read_to_string(root().join("tests/src/lib.rs")).unwrap();
    for page in pages("docs") {
        let name = page.file_name().unwrap().to_str().unwrap();
        if name != "SUMMARY.md" {
            assert!(summary.contains(&format!("]({name})")), "{name} is not in the summary");
            assert!(compiled.contains(&format!("/docs/{name}\")]")), "{name} is not compiled");
        }
    }
}
