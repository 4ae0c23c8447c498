//! `testbed`: the whole stack on this machine, to try (`up`), to be shown (`demo`) and to measure
//! (`bench`). `cargo xtask` builds what it needs and calls it.

use anyhow::Result;
use clap::{Parser, Subcommand};
use testbed::bench::Bench;
use testbed::bench::upstream::Provider;
use testbed::demo::Demo;
use testbed::mock::Mock;
use testbed::tools::Tools;
use testbed::up::Up;

/// Runs Envoy with the filter, the ledger and a mock provider.
#[derive(Parser)]
#[command(name = "testbed", version)]
struct Cli {
    #[command(flatten)]
    tools: Tools,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the stack and stays until SIGINT or SIGTERM.
    Up(Up),
    /// Plays the story of one API key, then checks every step of it.
    Demo(Demo),
    /// Measures what metering costs.
    Bench(Bench),
    /// Runs the mock provider alone.
    Mock {
        /// Where it listens.
        address: std::net::SocketAddr,
    },
    /// An upstream in a process of its own.
    #[command(hide = true)]
    Provider(Provider),
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Up(up) => up.run(cli.tools).await,
        Command::Demo(demo) => demo.run(cli.tools).await,
        Command::Bench(bench) => bench.run(cli.tools).await,
        Command::Mock { address } => {
            let mock = Mock::start_at(address).await?;
            eprintln!("the mock provider listens on {}", mock.address);
            Ok(tokio::signal::ctrl_c().await?)
        }
        Command::Provider(provider) => provider.run().await,
    }
}
