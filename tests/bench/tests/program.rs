//! The program as people run it, with the servers that need nothing else.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_axum-live-bench"))
}

/// Rehearses, and answers what the program left: its output, the measurements and the chart.
fn rehearse(name: &str, arguments: &[&str]) -> (Output, Vec<Value>, String) {
    let file = |ending: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{ending}"));
    let (raw, chart) = (file("jsonl"), file("svg"));
    let files = [OsStr::new("--raw"), raw.as_os_str(), OsStr::new("--chart"), chart.as_os_str()];
    let output = bench().arg("--rehearse").args(files).args(arguments).output().expect("it runs");
    let read = |path| fs::read_to_string(path).expect("it was written");
    let raw = read(raw).lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    (output, raw, read(chart))
}

/// A server of ours, and its address.
fn serve(name: &str) -> (Child, String) {
    let mut server = bench();
    server.args(["serve", name, "--attached"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = server.spawn().expect("it runs");
    let mut line = String::new();
    let output = server.stdout.take().expect("it is a pipe");
    BufReader::new(output).read_line(&mut line).expect("it is text");
    let url = line.trim().strip_prefix("listening on ").expect("it tells where it listens").to_owned();
    (server, url)
}

/// Lets a server go, which ends with its standard input.
fn end(mut server: Child) {
    drop(server.stdin.take());
    assert!(server.wait().expect("it is our child").success());
}

#[test]
fn every_case_is_measured_of_our_own_servers() {
    let (output, raw, chart) = rehearse("every_case", &["--servers", "floor,axum-live"]);
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
fn every_other_round_goes_backwards() {
    let arguments = ["--only", "window-1,churn", "--servers", "floor,axum-live", "--rounds", "2"];
    let (_, raw, _) = rehearse("order", &arguments);
    let order: Vec<_> =
        raw.iter().map(|line| (line["case"].as_str().unwrap(), line["server"].as_str().unwrap())).collect();
    let there_and_back = ["floor", "axum-live", "axum-live", "floor"];
    let expected: Vec<_> =
        ["window-1", "churn"].iter().flat_map(|case| there_and_back.map(|server| (*case, server))).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_server_that_runs_already_is_measured() {
    let (server, url) = serve("axum-live");
    let pid = server.id().to_string();
    let arguments =
        ["--only", "window-16,publish-1k", "--servers", "floor", "--against", &(url + "/ws"), "--pid", &pid];
    let (output, raw, _) = rehearse("yours", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let yours: Vec<_> = raw.iter().filter(|line| line["server"] == "yours").collect();
    assert_eq!(yours.len(), 2);
    assert!(yours[0]["figures"]["CPU per delivery"].as_f64().unwrap() > 0.0, "{}", yours[0]);
    assert!(yours[1]["figures"]["publish, called by another thread"].as_f64().unwrap() > 0.0, "{}", yours[1]);
    end(server);
}

#[test]
fn what_cannot_be_measured_fails_the_run_and_nothing_else() {
    let (server, url) = serve("axum-live");
    let pid = server.id().to_string();
    let arguments = ["--only", "window-1", "--servers", "floor", "--against", &(url + "/nowhere"), "--pid", &pid];
    let (output, raw, _) = rehearse("nowhere", &arguments);
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("- window-1 of yours: the handshake was answered \"HTTP/1.1 404 Not Found\""), "{report}");
    assert!(raw[0]["failure"].is_null(), "{}", raw[0]);
    end(server);
}

#[test]
fn wrong_options_are_told_from_failed_measurements() {
    let output = bench().args(["--only", "everything"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(r#"no case is called "everything"; there are window-1, "#), "{error}");
}
