//! Child processes that never outlive their parent, with their output in a file.
//!
//! Each runs in a process group of its own, so that a Ctrl-C at the terminal reaches the testbed alone,
//! which then ends its children in order. Where util-linux's `setpriv` is at hand the kernel ends them
//! too when the testbed itself is killed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long an orderly end may take before the process is killed.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How much of a log an error message quotes, in lines.
const TAIL_LINES: usize = 12;

/// A running child process.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a program; standard output and error go to `log`, which is appended to.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, String)],
        log: &Path,
    ) -> Result<Self> {
        Self::start_on(None, name, program, args, env, log)
    }

    /// The same, on one core only.
    ///
    /// # Errors
    /// As [`Child::start`].
    pub fn start_on(
        core: Option<usize>,
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, String)],
        log: &Path,
    ) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("failed to open {}", log.display()))?;
        let mut command = match setpriv() {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(args).envs(env.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process =
            spawn(command, core).with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), process, log: log.to_path_buf() })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The file that its output goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it is still there.
    ///
    /// # Errors
    /// It has ended; the error quotes the end of its log.
    pub fn alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}\n{}", self.name, tail(&self.log)),
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process_group(pid, signal).with_context(|| format!("failed to signal {}", self.name))
    }

    /// Ends it in order (SIGTERM), or by force when that takes too long.
    ///
    /// # Errors
    /// It could not be ended.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.process.try_wait()? {
            return Ok(status);
        }
        // A stopped process takes no other signal than SIGKILL before it goes on.
        self.signal(Signal::CONT)?;
        self.signal(Signal::TERM)?;
        match self.ended(STOP_WITHIN).await? {
            Some(status) => Ok(status),
            None => self.kill(),
        }
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn ended(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while start.elapsed() < within {
            if let Some(status) = self.process.try_wait()? {
                return Ok(Some(status));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(None)
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if self.process.try_wait()?.is_none() {
            // It may end by itself between the two calls.
            let _ = self.signal(Signal::KILL);
        }
        self.process.wait().with_context(|| format!("failed to wait for {}", self.name))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.kill();
    }
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let shown = lines.get(from..).unwrap_or_default();
    format!("--- end of {} ---\n{}", crate::tools::shown(log), shown.join("\n"))
}

/// The path of `setpriv`, where there is one.
fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| found_on_path("setpriv")).as_deref()
}

/// The program of that name on the search path.
#[must_use]
pub fn found_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|file| file.is_file())
}

struct Birth {
    command: Command,
    core: Option<usize>,
    reply: mpsc::Sender<io::Result<std::process::Child>>,
}

/// Starts the process from a thread that lives as long as this process: the kernel ties the "parent
/// died" signal to the thread that forked, and test threads come and go.
fn spawn(command: Command, core: Option<usize>) -> Result<std::process::Child> {
    static NURSERY: OnceLock<mpsc::Sender<Birth>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (sender, births) = mpsc::channel::<Birth>();
        let tend = move || {
            for mut birth in births {
                // The asker may have given up.
                let _ = birth.reply.send(born(&mut birth.command, birth.core));
            }
        };
        // Without the thread the channel is closed and every start reports it.
        let _ = std::thread::Builder::new().name("nursery".to_owned()).spawn(tend);
        sender
    });
    let (reply, child) = mpsc::channel();
    nursery.send(Birth { command, core, reply }).context("the thread that starts processes is gone")?;
    Ok(child.recv().context("the thread that starts processes is gone")??)
}

/// Starts the process, which inherits the cores that the starting thread may use.
fn born(command: &mut Command, core: Option<usize>) -> io::Result<std::process::Child> {
    let Some(core) = core else { return command.spawn() };
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only)?;
    let child = command.spawn();
    sched_setaffinity(None, &before)?;
    child
}
