//! The example configuration is one that Envoy accepts, on both ends of the supported range.

use anyhow::{Context, Result, ensure};
use testbed::tools::{Tools, repository, run_folder};

#[tokio::test]
async fn envoy_accepts_the_example() -> Result<()> {
    let tools = Tools::from_env();
    let folder = run_folder("example")?;
    let wasm = tools.wasm()?.display().to_string();
    let example = std::fs::read_to_string(repository().join("envoy/envoy.yaml"))?;
    ensure!(example.contains("/etc/envoy/bursar.wasm"), "the example names no module");
    let file = folder.join("envoy.yaml");
    std::fs::write(&file, example.replace("/etc/envoy/bursar.wasm", &wasm))?;
    for envoy in [tools.envoy()?, tools.envoy_old()?] {
        let run = tokio::process::Command::new(envoy)
            .args(["--mode", "validate", "--use-dynamic-base-id", "-c"])
            .arg(&file)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&run.stderr).into_owned();
        ensure!(run.status.success(), "{}: {text}", envoy.display());
    }
    std::fs::remove_dir_all(&folder).context("failed to remove the run's files")
}
