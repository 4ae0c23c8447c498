//! The testbed's own parts against a real Envoy, without filter and ledger: mock provider, client,
//! configuration, access log, statistics.

use anyhow::{Context, Result, ensure};
use testbed::gateway::{Config, Delivery, Filter, Gateway, Listener, Run};
use testbed::http::{Client, Request};
use testbed::mock::{Cut, CutPoint, Ended, Mock, Script};
use testbed::request::Chat;
use testbed::tools::{Tools, run_folder};

struct Bed {
    mock: Mock,
    gateway: Gateway,
    folder: std::path::PathBuf,
}

async fn bed(name: &str, upstream_http2: bool) -> Result<Bed> {
    let mock = Mock::start().await?;
    let folder = run_folder(name)?;
    let wasm = folder.join("empty.wasm");
    std::fs::write(&wasm, testbed::bench::empty_wasm::module())?;
    let config = Config {
        listeners: vec![Listener {
            name: "gateway".to_owned(),
            port: 0,
            tls: None,
            filter: Filter::Plain { wasm },
            upstream: mock.address,
            provider: None,
            upstream_http2,
            routes: Vec::new(),
        }],
        ledger: mock.address,
        admin_port: 0,
        access_log: Some(folder.join("access")),
        delivery: Delivery::Static,
    };
    let tools = Tools::from_env();
    let run = Run {
        program: tools.envoy()?,
        concurrency: 1,
        folder: &folder,
        name: "envoy",
        level: "warning",
        core: None,
    };
    let gateway = Gateway::start(&run, &config).await?;
    Ok(Bed { mock, gateway, folder })
}

impl Bed {
    fn client(&self) -> Result<Client> {
        Ok(Client::http1(*self.gateway.listeners.first().context("no listener")?))
    }

    async fn end(mut self) -> Result<()> {
        self.gateway.healthy().await?;
        self.gateway.stop().await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

#[tokio::test]
async fn an_exchange_through_an_empty_filter_is_recorded_on_all_sides() -> Result<()> {
    let bed = bed("bed-exchange", false).await?;
    let chat = Chat::new("gpt-5-mini").takes(7, 3);
    let answer = bed.client()?.send(chat.request("k")).await?.expect(200)?;
    ensure!(answer.json()?.pointer("/usage/prompt_tokens").and_then(serde_json::Value::as_u64) == Some(7));

    let stream = Chat::stream("gpt-5-mini").takes(7, 3).script(|script| script.cuts = vec![1, 40, 41]);
    let answer = bed.client()?.send(stream.request("k")).await?.expect(200)?;
    ensure!(answer.events().last().map(String::as_str) == Some("[DONE]"), "{}", answer.text());
    ensure!(!answer.text().contains("usage"), "usage without being asked for");

    let seen = bed.mock.record.tagged(&chat.tag);
    let [seen] = seen.as_slice() else { anyhow::bail!("{seen:?}") };
    ensure!(seen.complete && seen.ended == Ended::Complete && seen.reported.is_some(), "{seen:?}");
    let lines = testbed::wait::until("access log", testbed::wait::SETTLED_WITHIN, || async {
        Ok(Some(bed.gateway.access_log()?).filter(|lines| lines.len() == 2))
    })
    .await?;
    ensure!(lines.iter().all(|line| line.status() == 200 && line.text("details") == Some("via_upstream")));
    bed.end().await
}

#[tokio::test]
async fn the_provider_breaks_off_where_it_is_told_to() -> Result<()> {
    for upstream_http2 in [false, true] {
        let bed = bed("bed-cut", upstream_http2).await?;
        for (before, status, whole) in
            [(CutPoint::Head, 503, true), (CutPoint::Body, 200, false), (CutPoint::Chunk(2), 200, false)]
        {
            let script = Script { cut: Some(Cut { before, fin: false }), ..Script::default() };
            let chat = Chat::stream("gpt-5-mini").script(|own| *own = script);
            let answer = bed.client()?.send(chat.request("k")).await?;
            ensure!((answer.status, answer.broken.is_none()) == (status, whole), "{before:?}: {answer:?}");
            let seen = bed.mock.record.tagged(&chat.tag);
            ensure!(seen.iter().all(|seen| seen.ended == Ended::Broken), "{before:?}: {seen:?}");
        }
        bed.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn trailers_and_http2_pass() -> Result<()> {
    let bed = bed("bed-trailers", true).await?;
    let chat = Chat::new("gpt-5-mini").script(|script| script.trailers = true);
    let client = Client { http2: true, ..bed.client()? };
    let answer = client.send(chat.request("k")).await?.expect(200)?;
    ensure!(answer.trailers.is_some_and(|trailers| trailers.contains_key("x-mock-trailer")));
    let answer = client.send(Request::get("/anything")).await?.expect(200)?;
    ensure!(answer.json()?.get("path").is_some());
    bed.end().await
}
