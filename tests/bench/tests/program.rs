//! The program as people run it, with the servers that need nothing else.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_axum-live-bench"))
}

fn measure(name: &str, arguments: &[&str]) -> (Output, Vec<Value>, String) {
    let file = |ending: &str| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{ending}"));
    let (raw, chart) = (file("jsonl"), file("svg"));
    let output = bench()
        .args(["--rehearse", "--raw", &raw.display().to_string(), "--chart", &chart.display().to_string()])
        .args(arguments)
        .output()
        .unwrap();
    let raw = fs::read_to_string(raw).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, raw, fs::read_to_string(chart).unwrap())
}

/// A server of ours; it ends when its standard input is dropped.
fn serve(name: &str) -> (Child, String) {
    let mut child =
        bench().args(["serve", name, "--attached"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (child, url)
}

#[test]
fn every_case_is_measured_of_our_own_servers() {
    let (output, raw, chart) = measure("every_case", &["--servers", "floor,axum-live"]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{report}");

    let list = String::from_utf8(bench().arg("--list").output().unwrap().stdout).unwrap();
    let cases: Vec<_> = list.lines().skip(1).map_while(|line| line.split_whitespace().next()).collect();
    assert!(cases.len() > 10, "{list}");
    for case in cases {
        for server in ["floor", "axum-live"] {
            let line = raw.iter().find(|line| line["case"] == case && line["server"] == server).unwrap();
            assert!(line["failure"].is_null(), "{line}");
            let figures = line["figures"].as_object().unwrap();
            assert!(figures.values().any(|figure| figure.as_f64().unwrap() > 0.0), "{line}");
        }
        assert!(report.contains(&format!("\n## {case}\n")), "{report}");
        assert!(chart.contains(&format!(">{case}: ")), "{case} has no panel");
    }
}

#[test]
fn a_server_that_runs_already_is_measured() {
    let (mut child, url) = serve("axum-live");
    let pid = child.id().to_string();
    let arguments =
        ["--only", "window-16,publish-1k", "--servers", "floor", "--against", &(url + "/ws"), "--pid", &pid];
    let (output, raw, _) = measure("yours", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let yours: Vec<_> = raw.iter().filter(|line| line["server"] == "yours").collect();
    assert_eq!(yours.len(), 2);
    assert!(yours[0]["figures"]["CPU per delivery"].as_f64().unwrap() > 0.0, "{}", yours[0]);
    assert!(yours[1]["figures"]["publish, called by another thread"].as_f64().unwrap() > 0.0, "{}", yours[1]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_measured_fails_the_run_and_nothing_else() {
    let (mut child, url) = serve("axum-live");
    let pid = child.id().to_string();
    let arguments = ["--only", "window-1", "--servers", "floor", "--against", &(url + "/nowhere"), "--pid", &pid];
    let (output, raw, _) = measure("nowhere", &arguments);
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("- window-1 of yours: the handshake was answered \"HTTP/1.1 404 Not Found\""), "{report}");
    assert!(raw[0]["failure"].is_null(), "{}", raw[0]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn wrong_options_are_told_from_failed_measurements() {
    let output = bench().args(["--only", "everything"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(r#"no case is called "everything"; there are window-1, "#), "{error}");
}
