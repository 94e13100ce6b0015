//! Gateways that come and go under load: reloads, upgrades and restarts, again and again; and two copies of csw on one store.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::{CUSTOMER, Http, Server, build, inbound, now, shell, template, wait};
use crate::measure::{Held, say, short_or_long};
use crate::prosody::{COMPONENT, Stage, text_to};
use crate::sip::{Message, Transport, final_reply};
use crate::{haproxy, kamailio, nginx, prosody};

const TEMPLATE: &str = "summer_promotion";

/// Two clients that play customers and two that send templates, each message another customer's, while something happens to their gateway.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    serial: AtomicUsize,
    written: Mutex<Vec<String>>,
    sent: AtomicUsize,
    failed: Mutex<Vec<u16>>,
}

impl Load {
    /// As [`Load::during`], over HTTP to one gateway.
    fn through(&self, gateway: &(impl Http + Sync), happens: impl FnOnce()) {
        let writes = |customer: &str| gateway.webhook(&inbound(customer, now())).status;
        self.during(writes, |customer| gateway.send(&template(customer, TEMPLATE)).status, happens);
    }

    /// The clients are told the status of each answer; 200 is an acknowledgement.
    fn during(&self, writes: impl Fn(&str) -> u16 + Sync, sends: impl Fn(&str) -> u16 + Sync, happens: impl FnOnce()) {
        self.over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for client in 0..4 {
                let (writes, sends) = (&writes, &sends);
                scope.spawn(move || {
                    while !self.over.load(Ordering::Relaxed) {
                        let customer = format!("1650{:07}", self.serial.fetch_add(1, Ordering::Relaxed));
                        let status = if client % 2 == 0 { writes(&customer) } else { sends(&customer) };
                        match (status, client % 2) {
                            (200, 0) => self.written.lock().unwrap().push(customer),
                            (200, _) => drop(self.sent.fetch_add(1, Ordering::Relaxed)),
                            _ => {
                                self.failed.lock().unwrap().push(status);
                                thread::sleep(Duration::from_millis(5));
                            }
                        }
                    }
                });
            }
            let _over = Over(&self.over);
            happens();
        });
    }

    fn counts(&self) -> (usize, usize) {
        (self.written.lock().unwrap().len(), self.sent.load(Ordering::Relaxed))
    }

    /// Until a few more were acknowledged of each kind.
    fn goes_on(&self) {
        let (written, sent) = self.counts();
        wait("the load goes on", || self.counts().0 > written + 10 && self.counts().1 > sent + 10);
    }

    fn nothing_failed(&self) {
        assert_eq!(*self.failed.lock().unwrap(), [0; 0], "statuses of requests that failed");
    }

    /// Every customer whose message was acknowledged has a window.
    fn nothing_written_is_lost(&self, is_open: impl Fn(&str) -> bool) {
        let written = self.written.lock().unwrap();
        let lost: Vec<_> = written.iter().filter(|customer| !is_open(customer)).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), written.len());
    }

    fn say(&self, what: &str) {
        let (written, sent) = self.counts();
        let failed = self.failed.lock().unwrap().len();
        say(&format!(
            "{what}: {written} messages of customers and {sent} sends acknowledged, {failed} refused, 0 lost"
        ));
    }
}

/// Ends a load with its scope, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_open(gateway: &impl Http, customer: &str) -> bool {
    gateway.window(customer)["state"] == "open"
}

/// The messages in the books of a gateway's only number.
fn booked(report: &Value) -> usize {
    report.as_array().unwrap().iter().map(|row| row["messages"].as_u64().unwrap() as usize).sum()
}

// --- nginx --------------------------------------------------------------------------------------

#[test]
fn nginx_reloaded_again_and_again_fails_no_request_and_leaves_no_worker() {
    let reloads = short_or_long(5, 100);
    let platform = Server::platform();
    let gateway = nginx::Gateway::new().platform(&platform).start();
    let load = Load::default();
    load.through(&gateway, || {
        for _ in 0..reloads {
            let before = gateway.workers();
            gateway.signal("HUP");
            wait("new workers took over", || gateway.workers().len() == 2 && gateway.workers().is_disjoint(&before));
            load.goes_on();
        }
    });
    load.nothing_failed();
    load.nothing_written_is_lost(|customer| is_open(&gateway, customer));
    wait("no worker is left behind", || children(gateway.nginx.id()).len() == 2);
    assert_eq!(booked(&gateway.csw(&["report", "--by", "business"])), load.counts().1);
    assert_eq!(platform.requests().len(), load.counts().1);
    let held: Vec<_> = gateway.workers().into_iter().filter_map(Held::by).collect();
    assert!(held.iter().all(|held| held.threads == 2), "a worker and its recorder: {held:?}");
    load.say(&format!("nginx, {reloads} reloads"));
}

#[test]
fn nginx_upgraded_while_it_runs_fails_no_request_and_leaves_no_worker() {
    let upgrades = short_or_long(1, 10);
    let platform = Server::platform();
    let mut gateway = nginx::Gateway::new().platform(&platform).start();
    // In the foreground nginx does not upgrade itself.
    gateway.signal("QUIT");
    gateway.wait_for_end();
    let daemon = Daemon::of(gateway.dir.path());
    let load = Load::default();
    load.through(&gateway, || {
        for _ in 0..upgrades {
            let old = daemon.master().unwrap();
            shell(&format!("kill -USR2 {old}"));
            let new = || daemon.master().filter(|master| *master != old);
            wait("the new master has its workers", || new().is_some_and(|new| children(new).len() == 2));
            load.goes_on();
            shell(&format!("kill -WINCH {old}"));
            // The new master is a child of the old one.
            wait("the old workers are gone", || children(old).len() == 1);
            load.goes_on();
            shell(&format!("kill -QUIT {old}"));
            wait("the old master is gone", || !is_running(old));
            load.goes_on();
        }
    });
    load.nothing_failed();
    load.nothing_written_is_lost(|customer| is_open(&gateway, customer));
    assert_eq!(children(daemon.master().unwrap()).len(), 2, "no worker is left behind");
    wait("every send is in the books", || booked(&gateway.csw(&["report", "--by", "business"])) == load.counts().1);
    drop(daemon);
    load.say(&format!("nginx, {upgrades} upgrades of the binary"));
}

/// An nginx that is nobody's child, as a service is.
struct Daemon(PathBuf);

impl Daemon {
    fn of(folder: &Path) -> Self {
        // By its whole path, by which it starts its successor.
        shell(&format!("$(command -v nginx) -c {}", folder.join("nginx.conf").display()));
        let daemon = Daemon(folder.join("nginx.pid"));
        wait("the daemon has its workers", || daemon.master().is_some_and(|master| children(master).len() == 2));
        daemon
    }

    fn master(&self) -> Option<u32> {
        fs::read_to_string(&self.0).ok()?.trim().parse().ok()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for name in ["nginx.pid.oldbin", "nginx.pid"] {
            let master = fs::read_to_string(self.0.with_file_name(name)).ok().and_then(|pid| pid.trim().parse().ok());
            if let Some(master) = master.filter(|master| is_running(*master)) {
                shell(&format!("kill -TERM {master}"));
                wait("nginx has ended", || !is_running(master));
            }
        }
    }
}

fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// Also once nobody asks how it ended, a process that has ended does not run.
fn is_running(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

/// There is no older build to run beside this one: what can be had is the same code in another file, loaded from there by another nginx.
#[test]
fn two_copies_of_the_library_share_one_store() {
    let copy = TempDir::new().unwrap();
    fs::copy(build().join("lib/libcsw.so"), copy.path().join("libcsw.so")).unwrap();
    let platform = Server::platform();
    let one = nginx::Gateway::new().platform(&platform).start();
    let store = format!("store = \"lmdb:{}/store\"\n", one.path());
    let elsewhere = format!("{}/?.so;/usr/local/lib/?.so", copy.path().display());
    let other = nginx::Gateway::new().platform(&platform).top(&store).edit("/usr/local/lib/?.so", &elsewhere).start();
    let libraries = [&one, &other].map(|gateway| {
        let maps = fs::read_to_string(format!("/proc/{}/maps", gateway.workers().iter().next().unwrap())).unwrap();
        let file =
            maps.lines().find_map(|line| line.split_once('/').filter(|(_, path)| path.contains("libcsw"))).unwrap();
        fs::metadata(format!("/{}", file.1)).unwrap().ino()
    });
    assert_ne!(libraries[0], libraries[1]);

    let load = Load::default();
    let turn = AtomicUsize::new(0);
    let next = || if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { (&one, &other) } else { (&other, &one) };
    load.during(
        |customer| {
            let (here, there) = next();
            let status = here.webhook(&inbound(customer, now())).status;
            assert!(status != 200 || is_open(there, customer), "what one has acknowledged, the other knows");
            status
        },
        |customer| next().0.send(&template(customer, TEMPLATE)).status,
        || (0..short_or_long(10, 300)).for_each(|_| load.goes_on()),
    );
    load.nothing_failed();
    load.nothing_written_is_lost(|customer| is_open(&one, customer) && is_open(&other, customer));
    wait("every send is in the books", || booked(&one.csw(&["report", "--by", "business"])) == load.counts().1);
    load.say("two copies of the library in four workers");
}

// --- HAProxy ------------------------------------------------------------------------------------

#[test]
fn haproxy_reloaded_again_and_again_fails_no_request_and_leaves_no_worker() {
    let reloads = short_or_long(3, 100);
    let platform = Server::platform();
    let gateway = haproxy::Gateway::new().platform(&platform).start();
    let load = Load::default();
    load.through(&gateway, || {
        for _ in 0..reloads {
            gateway.reload();
            load.goes_on();
        }
    });
    load.nothing_failed();
    wait("no worker is left behind", || gateway.workers().len() == 1);
    load.nothing_written_is_lost(|customer| is_open(&gateway, customer));
    wait("every send is in the books", || booked(&gateway.csw(&["report", "--by", "business"])) == load.counts().1);
    load.say(&format!("HAProxy, {reloads} reloads"));
}

/// However it ends, what was answered to the platform is there; where it ends gracefully, so is what the platform answered.
#[test]
fn haproxy_restarted_in_every_way_loses_nothing_that_was_acknowledged() {
    let restarts = short_or_long(3, 30);
    let platform = Server::platform();
    let mut gateway = haproxy::Gateway::new().platform(&platform).start();
    let load = Load::default();
    for way in ["USR1", "TERM", "KILL"].iter().cycle().take(restarts) {
        let books = |gateway: &haproxy::Gateway| booked(&gateway.csw(&["report", "--by", "business"]));
        let before = (books(&gateway), load.counts().1);
        let (port, master) = (gateway.port, gateway.haproxy.id());
        let asks = Asks(port);
        load.during(
            |customer| asks.webhook(&inbound(customer, now())).status,
            |customer| asks.send(&template(customer, TEMPLATE)).status,
            || {
                load.goes_on();
                let also = if *way == "KILL" { join(&children(master)) } else { String::new() };
                shell(&format!("kill -{way} {master} {also}"));
                gateway.wait_for_end();
            },
        );
        gateway.start_again();
        if *way == "USR1" {
            assert!(books(&gateway) - before.0 >= load.counts().1 - before.1, "a send is not in the books");
        }
    }
    load.nothing_written_is_lost(|customer| is_open(&gateway, customer));
    load.say(&format!("HAProxy, {restarts} restarts"));
}

/// Whatever listens there.
struct Asks(u16);

impl Http for Asks {
    fn port(&self) -> u16 {
        self.0
    }
}

fn join(processes: &[u32]) -> String {
    processes.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

// --- Kamailio -----------------------------------------------------------------------------------

#[test]
fn kamailio_restarted_again_and_again_loses_nothing_that_was_acknowledged() {
    let restarts = short_or_long(2, 20);
    let mut gateway = kamailio::Gateway::new().start();
    let load = Load::default();
    for way in ["TERM", "KILL"].iter().cycle().take(restarts) {
        let port = gateway.port;
        let all = [vec![gateway.kamailio.id()], gateway.processes()].concat();
        load.during(
            |customer| asks_over_sip(kamailio::TRUNK, port, &kamailio::inbound(customer)),
            |customer| asks_over_sip(kamailio::HERE, port, &kamailio::template(customer, TEMPLATE)),
            || {
                load.goes_on();
                shell(&format!("kill -{way} {} 2>&1 || true", join(&all)));
            },
        );
        gateway.restart();
    }
    load.nothing_written_is_lost(|customer| {
        let reply = gateway.send(&kamailio::text(customer));
        assert_eq!((reply.status(), reply.header("X-CSW-Reason").as_str()), (200, "window_open"), "{customer}");
        true
    });
    let (written, sent) = load.counts();
    let books = booked(&gateway.csw(&["report", "--by", "business"]));
    assert!(books >= written + sent, "{books} in the books, {sent} answered, and {written} more");
    load.say(&format!("Kamailio, {restarts} restarts"));
}

/// The status of the answer, which may stay away.
fn asks_over_sip(from: [u8; 4], port: u16, message: &Message) -> u16 {
    let socket = UdpSocket::bind((IpAddr::from(from), 0)).unwrap();
    let bytes = message.render(Transport::Udp, socket.local_addr().unwrap());
    let _ = socket.send_to(&bytes, ("127.0.0.1", port));
    final_reply(&socket, Duration::from_millis(300), &mut [0; 4096]).map_or(0, |reply| reply.status())
}

// --- Prosody ------------------------------------------------------------------------------------

#[test]
fn prosody_whose_module_is_reloaded_again_and_again_loses_nothing() {
    let reloads = short_or_long(3, 50);
    let stage = Stage::set(prosody::Gateway::new());
    let gateway = &stage.gateway;
    let customers = gateway.client("customers");
    crate::scenario::Driver::customer_writes(&stage, CUSTOMER, 0);
    let before = Held::by(gateway.pid()).unwrap();
    let over = AtomicBool::new(false);
    let each = |does: &dyn Fn(usize)| {
        (0..)
            .take_while(|n| {
                does(*n);
                thread::sleep(Duration::from_millis(2));
                !over.load(Ordering::Relaxed)
            })
            .count()
            + 1
    };
    let (written, sent) = thread::scope(|scope| {
        let writes = |n: usize| {
            let from = format!("1650{n:07}@{COMPONENT}");
            stage
                .component
                .send(&format!("<message from='{from}' to='customers@example.com'><body>Hi</body></message>"));
        };
        let sends = |n: usize| stage.client.send(&text_to(CUSTOMER, &format!("s{n}")));
        let (writing, sending) = (scope.spawn(move || each(&writes)), scope.spawn(move || each(&sends)));
        let _over = Over(&over);
        for _ in 0..reloads {
            gateway.shell(&format!("module reload csw {COMPONENT}"));
        }
        drop(_over);
        (writing.join().unwrap(), sending.join().unwrap())
    });
    wait("all that customers wrote has arrived", || customers.messages().len() == written);
    wait("all that was sent has arrived", || stage.component.messages().len() == sent);
    let ids: HashSet<_> = stage.component.messages().iter().map(|message| message.attribute("id").to_owned()).collect();
    assert_eq!(ids.len(), sent);
    wait("every send is in the books", || booked(&gateway.csw(&["report", "--by", "business"])) == sent);
    for n in (0..written).step_by(written.div_ceil(50)) {
        assert_eq!(gateway.window(&format!("1650{n:07}")), "open");
    }
    let after = Held::by(gateway.pid()).unwrap();
    assert!(after.threads <= before.threads, "{after:?}, and {before:?} before");
    say(&format!("Prosody, {reloads} reloads of the module: {written} messages of customers and {sent} sends, 0 lost"));
}
