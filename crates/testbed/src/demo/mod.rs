//! `demo`: the story of an API key, told and checked.

mod outage;
mod scenes;
mod transcript;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::gateway::Headers;
use crate::setup::Setup;
use crate::stack::Stack;
use crate::tools::Tools;
use transcript::Transcript;

/// Flags of `demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Whether request headers wait for admission.
    #[arg(long, value_enum, default_value_t = Headers::Hold)]
    pub headers: Headers,
}

impl Demo {
    /// Plays the story; ends the process with status 1 unless every check held.
    ///
    /// # Errors
    /// Something does not start or does not answer.
    pub async fn run(&self, tools: Tools) -> Result<()> {
        let mut transcript = Transcript::new();
        println!("A mock AI provider, a ledger and Envoy with the filter are started on free ports.");
        let mut setup = Setup::new("demo").headers(self.headers).plugin(json!({"routes": []}));
        setup.tools = tools;
        let mut stack = setup.start().await?;
        let told = tell(&mut stack, &mut transcript).await;
        if let Err(error) = &told {
            transcript.check("the story can be told to its end", false, format!("{error:#}"));
        }
        if transcript.conclude() {
            stack.discard_files();
        }
        // Ends every process before this one reports.
        let held = transcript.held();
        stack.stop().await?;
        drop(stack);
        if !held {
            std::process::exit(1);
        }
        Ok(())
    }
}

async fn tell(stack: &mut Stack, transcript: &mut Transcript) -> Result<()> {
    let account = stack.account_named("acme", "starter").await?;
    scenes::metered(stack, transcript, &account).await?;
    scenes::limited(stack, transcript).await?;
    scenes::gated(stack, transcript, &account).await?;
    scenes::spent(stack, transcript, &account).await?;
    scenes::topped_up(stack, transcript, &account).await?;
    outage::outage(stack, transcript).await?;
    outage::reconciled(stack, transcript).await
}
