//! What the peers need: built by cargo, installed by npm.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// A peer cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupplyError {
    #[error("{command} could not be run: {source}")]
    Run { command: String, source: io::Error },
    #[error("{command} failed")]
    Failed { command: String },
    #[error("npm installed no Bun that runs here")]
    NoBun,
}

/// The program that is the Rust peers, built beside this one.
pub(super) fn peers(own_program: &Path) -> Result<PathBuf, SupplyError> {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = own_program.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    if BUILT.get().is_none() {
        let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
        run(Command::new(cargo)
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(package().join("peers/Cargo.toml"))
            .arg("--target-dir")
            .arg(target))?;
        BUILT.get_or_init(|| ());
    }
    Ok(target.join("release/axum-live-bench-peers"))
}

/// The program that is Bun: the machine's own or the one that npm installs.
pub(super) fn bun() -> Result<PathBuf, SupplyError> {
    let installed = || find_bun(&bun_folder().join("node_modules/@oven"));
    if let Some(bun) = installed() {
        return Ok(bun);
    }
    // The package's script would only link the program to where npm looks for it.
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(bun_folder()))?;
    installed().ok_or(SupplyError::NoBun)
}

pub(super) fn bun_folder() -> PathBuf {
    package().join("bun")
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program among those for several kinds of machine that runs on this one; the plainest name first.
fn find_bun(folder: &Path) -> Option<PathBuf> {
    let mut programs: Vec<_> =
        fs::read_dir(folder).ok()?.flatten().map(|package| package.path().join("bin/bun")).collect();
    programs.sort_by_key(|path| path.as_os_str().len());
    programs.into_iter().find(|program| {
        let tried = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

/// Runs a command whose output is nobody's figures.
fn run(command: &mut Command) -> Result<(), SupplyError> {
    let name = || command_line(command);
    let command_name = name();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(|source| SupplyError::Run { command: command_name.clone(), source })?;
    if status.success() { Ok(()) } else { Err(SupplyError::Failed { command: command_name }) }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
