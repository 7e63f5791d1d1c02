//! The metrics of a running agent: what they say, that Prometheus takes them, and that what is
//! made for them (alarms, the dashboard) asks for what there is.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use staplegun_testkit::program::{Program, Server};
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, Store};

/// A file of `packaging/`.
fn packaged(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the tree").join("packaging").join(path)
}

/// An agent of which everything can be told: certificates that are stapled, fail, are revoked and
/// passed over, and something in the spool that is refused.
struct Busy {
    agent: Agent,
    store: Store,
    good: Identity,
    failing: Identity,
    revoked: Identity,
    must_staple: Identity,
    _responders: Vec<FaultyResponder>,
}

impl Busy {
    fn start() -> Self {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let answering = |response: &dyn Fn(&Identity) -> Vec<u8>, name: &str| {
            // Not asked again meanwhile, however long the test takes.
            let busy = Behaviour::status(503, &[("Retry-After", "600")]);
            let responder = FaultyResponder::start(busy);
            let spec = Spec::server().common_name(name).ocsp_url(&responder.url());
            let leaf = ca.issue(&spec);
            let answer = response(&leaf);
            if !answer.is_empty() {
                responder.set(Behaviour::Answer(answer));
            }
            (leaf, responder)
        };
        let good = answering(
            &|leaf| Response::good(leaf, &ca).der(),
            r#"good "quoted" a\\b"#,
        );
        let revoked = answering(&|leaf| Response::good(leaf, &ca).revoked().der(), "revoked");
        let failing = answering(&|_| Vec::new(), "failing");
        let must_staple = ca.issue(&Spec::server().common_name("must").must_staple());
        let store = Store::new();
        for leaf in [&good.0, &revoked.0, &failing.0, &must_staple] {
            store.list(leaf, &[&ca]);
        }
        let agent = store.start("[timing]\nsweep = 0.2\n");
        std::fs::write(store.layout().spool().join("junk"), "junk").expect("there is a spool");
        agent.wait_for_metric("staplegun_spool_refused_total{cause=\"name\"} 1");
        agent.wait_for_metric("staplegun_revocations_total 1");
        agent.wait_for_metric("staplegun_fetches_total 2");
        agent.wait_for_metric("staplegun_fetch_failures_total{cause=\"http_status\"} 1");
        agent.wait_for_metric("staplegun_certificates{state=\"refused\"} 1");
        Self {
            agent,
            store,
            good: good.0,
            failing: failing.0,
            revoked: revoked.0,
            must_staple,
            _responders: vec![good.1, revoked.1, failing.1],
        }
    }

    /// The metrics without what HTTP puts before them.
    fn text(&self) -> String {
        let answer = self.agent.metrics();
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        body.to_owned()
    }
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let mut to = child.stdin.take().expect("it is piped");
    to.write_all(input.as_bytes()).expect("it reads");
    drop(to);
    child.wait_with_output().expect("it ends")
}

#[test]
fn prometheus_lint_finds_nothing_in_what_an_agent_tells() {
    let busy = Busy::start();
    let text = busy.text();
    let linted = with_input(Command::new("promtool").args(["check", "metrics"]), &text);
    assert!(linted.status.success(), "{linted:?}\n{text}");
    assert!(
        linted.stdout.is_empty() && linted.stderr.is_empty(),
        "{linted:?}"
    );
    // It does find what the guide forbids.
    let bad = text.replace("staplegun_fetches_total", "staplegun_fetches");
    let linted = with_input(Command::new("promtool").args(["check", "metrics"]), &bad);
    assert!(!linted.status.success(), "{linted:?}");
}

#[test]
fn more_certificates_than_are_looked_at_at_a_time_are_told_whole() {
    const MANY: usize = 1_100;
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(503, &[("Retry-After", "600")]));
    let asked = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let store = Store::new();
    store.list(&asked, &[&ca]);
    // Nobody looks at the signature of those: one that differs in its serial number.
    let serial = *b"\x01 the serial";
    let der = ca.issue(&Spec::server().serial(&serial)).der();
    let at = der.windows(serial.len()).position(|part| part == serial);
    let at = at.expect("it has that serial number") + 4;
    let mut list = std::fs::read_to_string(store.directory.join("certificates")).expect("a list");
    let files = Directory::new();
    for number in 0..MANY {
        let mut der = der.clone();
        der[at..at + 8].copy_from_slice(&number.to_be_bytes());
        let path = files.write(&format!("{number}.der"), der);
        list += &format!("{}\n", path.display());
    }
    store.directory.write("certificates", list);
    let file = store.directory.join("staplegun.prom");
    let program = store.program("[timing]\nsweep = 1.0\n");
    let agent = store.adopt(program.arg("--metrics-file").arg(&file).start());
    agent.wait_for_metric("staplegun_fetch_failures_total{cause=\"http_status\"} 1");
    let all = format!("staplegun_certificates{{state=\"passed_over\"}} {MANY}");
    agent.wait_for_metric(&all);
    let text = agent.metrics();
    let (_, text) = text.split_once("\r\n\r\n").expect("a body");
    let each = |metric: &str| {
        let lines = text.lines().filter(|line| line.starts_with(metric));
        lines.collect::<BTreeSet<&str>>().len()
    };
    assert_eq!(each("staplegun_certificate_passed_over{"), MANY);
    assert_eq!(each("staplegun_certificate_revoked{"), 1);
    let linted = with_input(Command::new("promtool").args(["check", "metrics"]), text);
    assert!(linted.status.success(), "{linted:?}\n{text}");
    let of_the_file = || std::fs::read_to_string(&file).unwrap_or_default();
    wait::until("the file tells all, too", || {
        of_the_file().lines().any(|line| line == all).then_some(())
    });
}

#[test]
fn each_certificate_has_its_times_its_failures_and_why_nobody_is_asked_for_it() {
    let busy = Busy::start();
    let text = busy.text();
    let value = |metric: &str, leaf: &Identity| {
        let beginning = format!("staplegun_{metric}{{sha256=\"{}\",", leaf.sha256_hex());
        let line = text.lines().find(|line| line.starts_with(&beginning))?;
        let (labels, value) = line.rsplit_once(' ')?;
        Some((labels.to_owned(), value.parse::<f64>().ok()?))
    };
    let now = crate::support::now() as f64;
    let number = |metric: &str, leaf: &Identity| value(metric, leaf).map(|(_, number)| number);
    let ends = |metric: &str, leaf: &Identity| number(metric, leaf).map(|at| at - now);
    assert!(ends("certificate_not_after_timestamp_seconds", &busy.good).is_some_and(|it| it > 0.0));
    assert!(ends("staple_next_update_timestamp_seconds", &busy.good).is_some_and(|it| it > 0.0));
    assert!(ends("staple_this_update_timestamp_seconds", &busy.good).is_some_and(|it| it <= 0.0));
    let success = ends("fetch_last_success_timestamp_seconds", &busy.good);
    assert!(
        success.is_some_and(|it| (-60.0..=0.0).contains(&it)),
        "{success:?}"
    );
    assert_eq!(number("certificate_revoked", &busy.good), Some(0.0));
    assert_eq!(number("certificate_revoked", &busy.revoked), Some(1.0));
    for nothing in [&busy.revoked, &busy.failing] {
        assert_eq!(
            number("staple_next_update_timestamp_seconds", nothing),
            None
        );
    }
    let (labels, failures) =
        value("certificate_fetch_failures_total", &busy.failing).expect("it fails");
    assert!(labels.ends_with(",cause=\"http_status\"}"), "{labels}");
    assert!(failures >= 1.0, "{failures}");
    let (labels, _) =
        value("certificate_passed_over", &busy.must_staple).expect("it is passed over");
    assert!(
        labels.ends_with("subject=\"must\",cause=\"must_staple\"}"),
        "{labels}"
    );
    let (labels, _) = value("certificate_revoked", &busy.good).expect("it is there");
    assert!(
        labels.ends_with(r#"subject="good \"quoted\" a\\b"}"#),
        "{labels}"
    );
    for (state, count) in [
        ("stapled", 1),
        ("missing", 1),
        ("revoked", 1),
        ("refused", 1),
    ] {
        let line = format!("staplegun_certificates{{state=\"{state}\"}} {count}");
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
    let build = text
        .lines()
        .find(|line| line.starts_with("staplegun_build_info{"));
    let build = build.expect("it tells what it is made of");
    assert!(
        build.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")),
        "{build}"
    );
    assert!(
        build.contains("openssl=\"OpenSSL ") && build.contains("libc=\""),
        "{build}"
    );
    let size = busy.agent.value("staplegun_map_size_bytes");
    let used = busy.agent.value("staplegun_map_used_bytes");
    assert_eq!(size, Some(f64::from(16 << 20)));
    assert!(
        used.is_some_and(|used| used > 0.0 && used < 1e6),
        "{used:?}"
    );
    // One that is revoked has a record that says so.
    assert_eq!(busy.agent.value("staplegun_map_entries"), Some(2.0));
}

#[test]
fn each_alarm_comes_when_it_should_and_not_where_all_is_well() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/alerts.yml");
    let mut promtool = Command::new("promtool");
    let tested = promtool.args(["test", "rules"]).arg(cases).output();
    let tested = tested.expect("promtool is installed");
    assert!(tested.status.success(), "{tested:?}");
}

/// A Prometheus of its own that scrapes the agent.
fn scraping(agent: &Agent) -> Server {
    let directory = Directory::new();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n- job_name: staplegun\n  \
         static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
        packaged("prometheus/alerts.yml").display(),
        agent.server.port()
    );
    let config = directory.write("prometheus.yml", config);
    let mut server = Program::start_on_free_port(|port| {
        Program::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
    });
    server.keep(directory);
    server
}

/// What Prometheus answers at that path; None while it is not ready.
fn asked(prometheus: &Server, path: &str, query: Option<&str>) -> Option<Value> {
    let url = format!("http://127.0.0.1:{}/api/v1/{path}", prometheus.port());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--get", "--max-time", "10", &url]);
    if let Some(query) = query {
        curl.args(["--data-urlencode", &format!("query={query}")]);
    }
    let answer = curl.output().expect("curl is installed").stdout;
    let answer: Value = serde_json::from_slice(&answer).ok()?;
    assert_eq!(answer["status"], "success", "{query:?}: {answer}");
    Some(answer["data"].clone())
}

/// What lies under a name, however deep.
fn all_under<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| all_under(one, name, found)),
        Value::Object(all) => {
            for (key, one) in all {
                if key == name {
                    found.push(one);
                }
                all_under(one, name, found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_real_prometheus_has_an_answer_to_each_query_of_the_dashboard_and_the_alarms() {
    let busy = Busy::start();
    let prometheus = scraping(&busy.agent);
    let dashboard = std::fs::read(packaged("grafana/staplegun.json")).expect("there is one");
    let dashboard: Value = serde_json::from_slice(&dashboard).expect("it is JSON");
    let mut queries = Vec::new();
    all_under(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 20, "{queries:?}");
    for query in queries {
        let query = query.as_str().expect("a query");
        let filled = query
            .replace("$__rate_interval", "10s")
            .replace("$instance", ".*");
        assert!(
            !filled.contains('$'),
            "a variable that is not filled in: {query}"
        );
        wait::until(&format!("there is an answer to {query}"), || {
            let answer = asked(&prometheus, "query", Some(&filled))?;
            answer["result"]
                .as_array()
                .filter(|all| !all.is_empty())
                .map(|_| ())
        });
    }
    // What the alarms ask for is there, all of them can be evaluated, and the one that needs no
    // time comes.
    let text = busy.text();
    let alarms =
        std::fs::read_to_string(packaged("prometheus/alerts.yml")).expect("there are some");
    let words = alarms.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics: BTreeSet<&str> = words
        .filter(|word| word.starts_with("staplegun_"))
        .collect();
    assert!(metrics.len() > 8, "{metrics:?}");
    for metric in metrics {
        assert!(
            text.contains(&format!("# TYPE {metric} ")),
            "{metric}: {text}"
        );
    }
    let alarm = wait::until("the revocation is an alarm", || {
        let alerts = asked(&prometheus, "alerts", None)?;
        let alerts = alerts["alerts"].as_array()?.clone();
        alerts.into_iter().find(|one| {
            one["labels"]["alertname"] == "StaplegunRevoked" && one["state"] == "firing"
        })
    });
    assert_eq!(alarm["labels"]["subject"], "revoked", "{alarm}");
    let rules = asked(&prometheus, "rules", None).expect("it is ready");
    let mut health = Vec::new();
    all_under(&rules, "health", &mut health);
    assert_eq!(health.len(), 8, "{rules}");
    assert!(health.iter().all(|one| **one == "ok"), "{rules}");
    assert!(busy.store.served(&busy.good).is_ok());
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard = std::fs::read(packaged("grafana/staplegun.json")).expect("there is one");
    let dashboard: Value = serde_json::from_slice(&dashboard).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|one| one["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each has a number of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "two panels at {x}, {y}: {panel}");
            }
        }
        for part in ["title", "description"] {
            assert!(
                panel[part].as_str().is_some_and(|text| !text.is_empty()),
                "{panel}"
            );
        }
    }
    // Whoever imports it chooses where its data come from.
    let mut sources = Vec::new();
    all_under(&dashboard, "datasource", &mut sources);
    for source in sources {
        assert_eq!(source["uid"], "${datasource}", "{source}");
    }
}

/// The responder's name among the labels.
fn host(responder: &FaultyResponder) -> String {
    let url = responder.url();
    let host = url.trim_start_matches("http://");
    host.split('/').next().expect("a host").to_owned()
}

#[test]
fn each_responder_has_its_state_its_failures_and_how_long_it_took() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let (good, busy) = (
        FaultyResponder::start(Behaviour::Close),
        FaultyResponder::start(Behaviour::status(503, &[("Retry-After", "600")])),
    );
    let leaf = |responder: &FaultyResponder| ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let (answered, refused) = (leaf(&good), leaf(&busy));
    good.set(Behaviour::Answer(Response::good(&answered, &ca).der()));
    let store = Store::new();
    store.list(&answered, &[&ca]);
    store.list(&refused, &[&ca]);
    let agent = store.start("[timing]\nsweep = 0.2\n");
    let (good, busy) = (host(&good), host(&busy));
    for line in [
        format!("staplegun_responder_up{{responder=\"{good}\"}} 1"),
        format!("staplegun_responder_backing_off{{responder=\"{good}\"}} 0"),
        format!("staplegun_responder_up{{responder=\"{busy}\"}} 0"),
        format!("staplegun_responder_backing_off{{responder=\"{busy}\"}} 1"),
        format!("staplegun_responder_certificates{{responder=\"{busy}\"}} 1"),
        format!(
            "staplegun_responder_failures_total{{responder=\"{busy}\",cause=\"http_status\"}} 1"
        ),
        format!("staplegun_responder_request_duration_seconds_count{{responder=\"{good}\"}} 1"),
        format!(
            "staplegun_responder_request_duration_seconds_bucket{{responder=\"{good}\",le=\"+Inf\"}} 1"
        ),
    ] {
        agent.wait_for_metric(&line);
    }
    let retry = wait::until("the time of the next request", || {
        agent.value(&format!(
            "staplegun_responder_retry_timestamp_seconds{{responder=\"{busy}\"}}"
        ))
    });
    let left = retry - crate::support::now() as f64;
    assert!((500.0..=1_000.0).contains(&left), "{left}");
}
