//! Runs the program in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Run {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code.
    pub code: i32,
}

impl Run {
    /// What a process that ended left; a signal that ended it has the code -1.
    pub fn of(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Standard error as the JSON of a failure: status and code of the first diagnostic.
    pub fn failure(&self) -> (String, String) {
        let value: serde_json::Value =
            serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        let text = |pointer: &str| value.pointer(pointer).and_then(|v| v.as_str()).unwrap().to_owned();
        (text("/status"), text("/diagnostics/0/code"))
    }
}

/// A folder to work in; it is also `HOME`, so that no test sees the user's keys or cache.
pub struct Place(TempDir);

impl Place {
    /// An empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a first product, `gw`.
    pub fn with_product() -> Self {
        let place = Self::new();
        assert_eq!(place.run(&["new", "gw"]).code, 0);
        place
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces text in `product.yaml`.
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.path("product.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Adds text to the end of `product.yaml`.
    pub fn add(&self, text: &str) {
        let path = self.path("product.yaml");
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + text).unwrap();
    }

    /// A script of the shell in the folder, in which `fastness` is the program.
    pub fn shell(&self, script: &str) -> Command {
        in_shell(&self.command(&[]), script)
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// As [`Self::run`], with its results into a file that is there.
    pub fn run_into(&self, file: &str, arguments: &[&str]) -> Run {
        let out = std::fs::File::options().write(true).open(file).expect("a file to write to");
        let child = self.command(arguments).stdout(out).stderr(Stdio::piped()).spawn().expect("it starts");
        Run::of(child.wait_with_output().expect("it ends"))
    }

    /// The program with its arguments, not started; no terminal, no environment but `PATH`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fastness"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .stdin(Stdio::null());
        command
    }
}

/// The script, in the place and with the environment of `command`, whose program is first on the path.
pub fn in_shell(command: &Command, script: &str) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).env_clear().stdin(Stdio::null());
    shell.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap();
    let program = Path::new(command.get_program()).parent().unwrap().to_owned();
    let folders = std::iter::once(program).chain(std::env::split_paths(path));
    shell.env("PATH", std::env::join_paths(folders).unwrap());
    shell
}

/// The repository's top folder.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
