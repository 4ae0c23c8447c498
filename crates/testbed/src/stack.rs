//! The whole: mock provider, ledger, the line between, one or more Envoys; started, watched, ended.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::child::tail;
use crate::gateway::{Config, Delivery, Gateway, Run};
use crate::http::{Answer, Client, Reply};
use crate::ledger::{Api, Ledger};
use crate::link::{Fault, Link};
use crate::mock::Mock;
use crate::request::Chat;
use crate::setup::{Setup, Updates};
use crate::tls::{Tls, Trust};
use crate::tools::{run_folder, shown};
use crate::wait;

/// A running stack. Dropping it ends everything; files of a run that did not come to its good end
/// are kept.
#[derive(Debug)]
pub struct Stack {
    /// The provider.
    pub mock: Mock,
    /// The ledger.
    pub ledger: Ledger,
    /// Each Envoy's line to the ledger, where there are lines.
    pub links: Vec<Link>,
    /// The Envoys.
    pub gateways: Vec<Gateway>,
    /// Envoys that were killed; their access logs remain.
    pub killed: Vec<Gateway>,
    /// The administrator's token.
    pub admin_token: String,
    edge_token: String,
    setup: Setup,
    tls: Option<Tls>,
    trust: Option<Trust>,
    folder: PathBuf,
    accounts: Mutex<Vec<Account>>,
    vms_created: Vec<i64>,
    finished: bool,
}

/// An account that the stack has made.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// The plan that it began with.
    pub plan: String,
    /// The id of its key.
    pub key_id: String,
    /// Its key.
    pub key: String,
}

// === impl Stack ===

impl Stack {
    pub(crate) async fn start(setup: Setup) -> Result<Self> {
        setup.check_ports()?;
        let folder = run_folder(&setup.name)?;
        let (admin_token, edge_token) = (token()?, token()?);
        let serve = setup.serve(&folder, &admin_token, &edge_token)?;
        let tls = if setup.tls { Some(Tls::make(&folder)?) } else { None };
        let (mock, ledger) = (Mock::start().await?, Ledger::start(serve).await?);
        let mut stack = Self {
            mock,
            ledger,
            links: Vec::new(),
            gateways: Vec::new(),
            killed: Vec::new(),
            admin_token,
            edge_token,
            setup,
            trust: tls.as_ref().map(Tls::trust).transpose()?,
            tls,
            folder,
            accounts: Mutex::new(Vec::new()),
            vms_created: Vec::new(),
            finished: false,
        };
        for _ in 0..stack.setup.envoys {
            stack.add_gateway().await?;
        }
        Ok(stack)
    }

    /// Starts one more Envoy; it comes last.
    ///
    /// # Errors
    /// It does not start.
    pub async fn add_gateway(&mut self) -> Result<()> {
        if self.setup.link {
            self.links.push(Link::start(self.ledger.address).await?);
        }
        let number = self.gateways.len() + self.killed.len() + 1;
        let gateway = self.start_gateway(number).await?;
        self.vms_created.push(gateway.stats().await?.vms_created());
        self.gateways.push(gateway);
        Ok(())
    }

    /// Kills the first Envoy (`kill -9`); the others move up.
    ///
    /// # Errors
    /// There is none, or it cannot be waited for.
    pub fn kill_gateway(&mut self) -> Result<()> {
        ensure!(!self.gateways.is_empty(), "the stack has no Envoy");
        let mut gateway = self.gateways.remove(0);
        self.vms_created.remove(0);
        self.links.drain(..self.links.len().min(1));
        gateway.process().kill()?;
        self.killed.push(gateway);
        Ok(())
    }

    /// A client of an Envoy's listener with the filter; counted from 0.
    ///
    /// # Errors
    /// There is no such Envoy.
    pub fn client_of(&self, envoy: usize) -> Result<Client> {
        let gateway = self.gateways.get(envoy).context("no such Envoy")?;
        let address = gateway.listeners.first().copied().context("Envoy has no listener")?;
        Ok(Client { tls: self.trust, ..Client::http1(address) })
    }

    /// The first Envoy.
    ///
    /// # Errors
    /// There is none.
    pub fn gateway(&self) -> Result<&Gateway> {
        self.gateways.first().context("the stack has no Envoy")
    }

    /// A client of the first Envoy's listener with the filter.
    ///
    /// # Errors
    /// There is no Envoy.
    pub fn client(&self) -> Result<Client> {
        self.client_of(0)
    }

    /// Where the first Envoy's listener with the filter is.
    ///
    /// # Errors
    /// There is no Envoy.
    pub fn address(&self) -> Result<SocketAddr> {
        self.gateway()?.listeners.first().copied().context("Envoy has no listener")
    }

    /// The same as clients are told it.
    ///
    /// # Errors
    /// There is no Envoy.
    pub fn url(&self) -> Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.address()?))
    }

    /// The certificate of the authority that clients must trust, where they speak TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.authority.as_path())
    }

    /// The ledger's API.
    #[must_use]
    pub fn api(&self) -> Api {
        self.ledger.api()
    }

    /// Where the run's files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the stack was set up.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Makes an account on a plan, with one key.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn account(&self, plan: &str) -> Result<Account> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let id = format!("{plan}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.account_named(&id, plan).await
    }

    /// Makes an account of this id.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn account_named(&self, id: &str, plan: &str) -> Result<Account> {
        let api = self.api();
        api.create_account(id, plan).await?;
        let (key_id, key) = api.create_key(id, None).await?;
        let account = Account { id: id.to_owned(), plan: plan.to_owned(), key_id, key };
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).push(account.clone());
        Ok(account)
    }

    /// Makes an account without a plan's credits and gives it these, in decimal.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn account_with(&self, credits: &str) -> Result<Account> {
        let account = self.account("topup_only").await?;
        self.top_up(&account, credits).await?;
        Ok(account)
    }

    /// Sells credits to an account, in decimal.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn top_up(&self, account: &Account, credits: &str) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let reference = format!("payment-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.api().grant(&account.id, "topup", credits, &reference).await
    }

    /// The accounts made so far.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a completion request and waits for the whole answer.
    ///
    /// # Errors
    /// No answer.
    pub async fn chat(&self, account: &Account, chat: Chat) -> Result<Answer> {
        self.client()?.send(chat.request(&account.key)).await
    }

    /// Sends a completion request and waits for the head of the answer.
    ///
    /// # Errors
    /// No answer.
    pub async fn open(&self, account: &Account, chat: Chat) -> Result<Reply> {
        self.client()?.open(chat.request(&account.key)).await
    }

    /// Makes the lines between Envoys and ledger bad, or good again.
    ///
    /// # Errors
    /// The stack was made without lines.
    pub async fn fault(&mut self, fault: Fault) -> Result<()> {
        ensure!(!self.links.is_empty(), "the stack has no link");
        for link in &mut self.links {
            link.set(fault.clone()).await?;
        }
        Ok(())
    }

    /// The same for one Envoy's line; counted from 0.
    ///
    /// # Errors
    /// There is no such line.
    pub async fn fault_of(&mut self, envoy: usize, fault: Fault) -> Result<()> {
        self.links.get_mut(envoy).context("no such link")?.set(fault).await
    }

    /// Kills the ledger (`kill -9`).
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill_ledger(&mut self) -> Result<()> {
        self.ledger.kill()
    }

    /// Starts the ledger again on the same books, and leads Envoy to it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart_ledger(&mut self) -> Result<()> {
        self.ledger.restart().await?;
        for link in &self.links {
            link.lead_to(self.ledger.address);
        }
        Ok(())
    }

    /// Starts another ledger with the same tokens and books of its own.
    ///
    /// # Errors
    /// It does not start.
    pub async fn another_ledger(&self) -> Result<Ledger> {
        let folder = self.folder.join("another");
        std::fs::create_dir_all(&folder)?;
        Ledger::start(self.setup.serve(&folder, &self.admin_token, &self.edge_token)?).await
    }

    /// Waits until no Envoy has settlements that the ledger has not taken (I6).
    ///
    /// # Errors
    /// Some remain.
    pub async fn settled(&self, within: Duration) -> Result<()> {
        wait::until_true("every settlement is delivered", within, || async {
            for gateway in &self.gateways {
                let stats = gateway.stats().await?;
                for gauge in ["ring_depth", "open_requests", "parked"] {
                    let depth = stats.get(&format!("wasmcustom.bursar.{gauge}"));
                    if depth != 0 {
                        bail!("{gauge} is {depth}");
                    }
                }
            }
            Ok(true)
        })
        .await
    }

    /// Checks that the journal is the provider's record, priced; that nothing is held; that no VM has
    /// failed; and ends the stack.
    ///
    /// # Errors
    /// Something does not agree.
    pub async fn finish(self) -> Result<()> {
        crate::reconcile::reconcile(&self).await?;
        self.finish_unreconciled().await
    }

    /// As [`Stack::finish`], for tests whose traffic the reconciliation cannot follow.
    ///
    /// # Errors
    /// A VM has failed, or the ledger's books do not verify.
    pub async fn finish_unreconciled(self) -> Result<()> {
        for (gateway, before) in self.gateways.iter().zip(&self.vms_created) {
            gateway.healthy().await?;
            let created = gateway.stats().await?.vms_created();
            ensure!(created == *before, "VMs were made anew: {before} at the start, {created} at the end");
        }
        self.close().await
    }

    /// As [`Stack::finish_unreconciled`], for tests that swap VMs: what becomes of those they look at themselves.
    ///
    /// # Errors
    /// The ledger's books do not verify.
    pub async fn close(mut self) -> Result<()> {
        self.stop().await?;
        self.ledger.verify().await?;
        self.finished = true;
        Ok(())
    }

    /// Ends it in order, Envoys first.
    ///
    /// # Errors
    /// Something cannot be ended.
    pub async fn stop(&mut self) -> Result<()> {
        for gateway in &mut self.gateways {
            gateway.stop().await?;
        }
        self.ledger.stop().await
    }

    /// Says that the run's files are no longer wanted.
    pub fn discard_files(&mut self) {
        self.finished = true;
    }

    /// Gives the running Envoys the filter as another setup has it: its module, its configuration.
    ///
    /// # Errors
    /// They do not take it.
    pub async fn update(&mut self, setup: Setup) -> Result<()> {
        self.setup = setup;
        for number in 1..=self.gateways.len() {
            let config = self.gateway_config(number, self.links.get(number.saturating_sub(1)))?;
            if let Some(gateway) = self.gateways.get_mut(number.saturating_sub(1)) {
                gateway.update(&config).await?;
            }
        }
        Ok(())
    }

    fn gateway_config(&self, number: usize, link: Option<&Link>) -> Result<Config> {
        let setup = &self.setup;
        let name = format!("envoy-{number}");
        let upstream = setup.upstream.unwrap_or(self.mock.address);
        let watched = self.folder.join(format!("{name}.watched.json"));
        Ok(Config {
            listeners: setup.listeners(number, &self.edge_token, upstream, self.tls.as_ref())?,
            ledger: link.map_or(self.ledger.address, |link| link.address),
            admin_port: setup.ports.map_or(0, |ports| ports.admin),
            access_log: setup.access_log.then(|| self.folder.join(format!("{name}.access"))),
            delivery: match setup.updates {
                Updates::None => Delivery::Static,
                Updates::Listener => Delivery::Listeners(watched),
                Updates::Filter => Delivery::Filter(watched),
            },
        })
    }

    async fn start_gateway(&self, number: usize) -> Result<Gateway> {
        let setup = &self.setup;
        let name = format!("envoy-{number}");
        let config = self.gateway_config(number, self.links.last())?;
        let program = if setup.old_envoy { setup.tools.envoy_old()? } else { setup.tools.envoy()? };
        let run = Run {
            program,
            concurrency: setup.concurrency,
            folder: &self.folder,
            name: &name,
            level: &setup.level,
            core: setup.envoy_core,
        };
        Gateway::start(&run, &config).await
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.finished {
            // What cannot be removed stays below the target folder.
            let _ = std::fs::remove_dir_all(&self.folder);
            return;
        }
        eprintln!("the files of this run are kept in {}", shown(&self.folder));
        for gateway in &self.gateways {
            eprintln!("{}", tail(gateway.log()));
        }
        eprintln!("{}", tail(self.ledger.log()));
    }
}

/// A token of 128 random bits.
fn token() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
