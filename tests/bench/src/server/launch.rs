use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::load::{Dialect, Failure, Target};

/// A server that does not say by then where it listens will not.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a server is started.
pub(crate) struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    path: &'static str,
    dialect: Dialect,
}

/// A server that runs until this is dropped.
pub(crate) struct Running {
    child: Child,
    target: Target,
}

impl Launch {
    pub(crate) fn new(program: PathBuf, arguments: Vec<String>, path: &'static str, dialect: Dialect) -> Self {
        Self { program, arguments, path, dialect }
    }

    /// Starts the server on a free port, and waits until it says which.
    pub(crate) fn start(&self) -> Result<Running, Failure> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(["--port", "0", "--attached"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Failure::Start(format!("{}: {source}", self.program.display())))?;
        let output = child.stdout.take();
        let target = Target {
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            path: self.path.to_owned(),
            dialect: self.dialect,
            pid: child.id(),
        };
        // From here on the child ends with it.
        let mut running = Running { child, target };

        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let said = output.map_or(Ok(0), |output| BufReader::new(output).read_line(&mut line));
            // Nobody listens any more once patience is over.
            tell.send(said.map(|_| line)).ok();
        });
        let line = told.recv_timeout(PATIENCE).ok().and_then(Result::ok).unwrap_or_default();
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        running.target.address =
            address.ok_or_else(|| Failure::Start(format!("it said {line:?} instead of where it listens")))?;
        Ok(running)
    }
}

impl Running {
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
