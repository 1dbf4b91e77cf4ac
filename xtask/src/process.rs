//! Running other programs: shown first, and never without an end.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A cargo command at the repository's top.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = at_top(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())));
    command.args(arguments);
    command
}

/// The cargo of another toolchain, at the repository's top.
pub fn cargo_of(toolchain: &str) -> Command {
    let mut command = at_top(Command::new("rustup"));
    command.args(["run", toolchain, "cargo"]).env_remove("CARGO");
    command
}

fn at_top(mut command: Command) -> Command {
    command.current_dir(crate::paths::root());
    // Cargo tells its children about the package it runs; the next cargo must not take that as its own.
    for variable in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(variable);
    }
    command
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut line = program.rsplit('/').next().unwrap_or_default().to_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let root = format!("{}/", crate::paths::root().display());
        let short = argument.strip_prefix(&root).unwrap_or(&argument);
        if short.contains(' ') {
            let _ = write!(line, " '{short}'");
        } else {
            let _ = write!(line, " {short}");
        }
    }
    line
}

/// Shows and runs the command; its output goes to the terminal.
///
/// # Errors
/// If it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    eprintln!("  $ {}", shown(command));
    let status = command.status().with_context(|| format!("{} cannot be started", shown(command)))?;
    require(command, status)
}

/// Shows and runs the command, and hands each line of its standard output to `line` as it comes.
///
/// # Errors
/// If it cannot be started or fails.
pub fn run_lines(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    eprintln!("  $ {}", shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{} cannot be started", shown(command)))?;
    if let Some(output) = child.stdout.take() {
        for text in BufReader::new(output).lines() {
            line(&text.context("the program's output is not text")?);
        }
    }
    let status = child.wait()?;
    require(command, status)
}

/// Runs the command in silence, and returns what it printed to standard output.
///
/// # Errors
/// If it cannot be started or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{} cannot be started", shown(command)))?;
    if !output.status.success() {
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        bail!("`{}` failed:\n{}", shown(command), said.join("\n").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `true` if the program can be started, and prints its version without a failure.
pub fn starts(command: &mut Command) -> bool {
    let silent = command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}

fn require(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs the command until it ends or `limit` has passed; then it is stopped. Standard output is handed to `receive` in
/// pieces, standard error is returned with the exit code.
///
/// # Errors
/// If it cannot be started, or did not end in time.
pub fn run_limited(command: &mut Command, limit: Duration, receive: impl FnMut(&[u8]) + Send) -> Result<(i32, String)> {
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || forward(output, receive));
        let errors = scope.spawn(move || {
            let mut text = String::new();
            if let Some(mut errors) = errors {
                let _ = errors.read_to_string(&mut text);
            }
            text
        });
        let status = wait(&mut child, limit)?;
        let text = errors.join().unwrap_or_default();
        match status {
            Some(status) => Ok((status.code().unwrap_or(-1), text)),
            None => bail!("`{shown}` did not end within {} s and was stopped. {}", limit.as_secs(), text.trim()),
        }
    })
}

fn forward(source: Option<impl Read>, mut receive: impl FnMut(&[u8])) {
    let Some(mut source) = source else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = source.read(&mut buffer) {
        receive(&buffer[..count]);
    }
}

/// The exit status, or `None` if the child had to be stopped.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_stopped_and_said_so() {
        let start = Instant::now();
        let error = run_limited(Command::new("sleep").arg("60"), Duration::from_millis(50), |_| ()).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(error.to_string().contains("sleep 60"), "{error}");
    }

    #[test]
    fn output_and_exit_code_come_back() {
        let mut seen = Vec::new();
        let script = "printf ab; printf c >&2; exit 7";
        let (code, errors) = run_limited(Command::new("sh").args(["-c", script]), Duration::from_secs(10), |bytes| {
            seen.extend_from_slice(bytes)
        })
        .unwrap();
        assert_eq!((code, errors.as_str(), seen.as_slice()), (7, "c", b"ab".as_slice()));
    }
}
