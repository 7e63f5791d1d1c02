//! Where requests go: after a redirect, and through a proxy.

use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};

use staplegun_testkit::responder::{Behaviour, FaultyResponder, Request};
use staplegun_testkit::wait;

use super::*;
use crate::agent::now;

fn client(settings: &str) -> Client {
    let proxies = Proxies::new(&toml::from_str(settings).unwrap());
    Client::new(Patience::DEFAULT, Arc::new(proxies))
}

fn ask(client: &mut Client, url: &str, message: &Message) -> Result<Answer, Failure> {
    client.exchange(url, message, Instant::now() + wait::limit(), 0, now())
}

fn redirect(status: u16, to: &str) -> FaultyResponder {
    FaultyResponder::start(Behaviour::status(status, &[("Location", to)]))
}

#[test]
fn where_something_else_is_to_be_seen_a_get_goes_and_no_post() {
    let other = FaultyResponder::start(Behaviour::Answer(b"seen".to_vec()));
    let first = redirect(303, &other.url());
    let mut client = client("");
    let seen = ask(&mut client, &first.url(), &Message::Get).unwrap();
    assert_eq!(
        (seen.body.as_slice(), seen.redirected),
        (&b"seen"[..], true)
    );
    let posted = ask(&mut client, &first.url(), &Message::Post(vec![1]));
    let failure = posted.unwrap_err();
    assert!(matches!(failure.kind, Kind::HttpStatus(303)), "{failure}");
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn a_redirect_to_another_host_is_not_followed_where_a_proxy_is_asked_before_or_after() {
    let other = FaultyResponder::start(Behaviour::Answer(b"seen".to_vec()));
    let url = other.url();
    let proxied = redirect(302, &url);
    let direct = redirect(302, "http://responder.invalid/");
    let settings = |proxy: &FaultyResponder, redirects: bool| {
        let proxy = proxy.url().replace("/ocsp", "");
        format!("http = '{proxy}'\nexcept = '127.0.0.1'\nredirects = {redirects}")
    };
    // From behind the proxy to one that is asked without it.
    let first = "http://responder.invalid/";
    let failure = ask(
        &mut client(&settings(&proxied, false)),
        first,
        &Message::Get,
    );
    let failure = failure.unwrap_err();
    assert!(
        matches!(&failure.kind, Kind::RedirectByProxy(host) if host == "127.0.0.1"),
        "{failure}"
    );
    // And from there to one behind it.
    let failure = ask(
        &mut client(&settings(&other, false)),
        &direct.url(),
        &Message::Get,
    );
    let failure = failure.unwrap_err();
    assert!(
        matches!(&failure.kind, Kind::RedirectByProxy(host) if host == "responder.invalid"),
        "{failure}"
    );
    assert!(other.requests().is_empty());
    let allowed = ask(&mut client(&settings(&proxied, true)), first, &Message::Get);
    assert_eq!(allowed.unwrap().body, b"seen");
}

/// Answers every request of every connection, and keeps the connections.
fn keep_answering(listener: &TcpListener, targets: &Sender<String>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let targets = targets.clone();
        std::thread::spawn(move || {
            while let Ok(request) = Request::read(&stream) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
                let answered = std::io::Write::write_all(&mut &stream, answer);
                if targets.send(request.target).is_err() || answered.is_err() {
                    return;
                }
            }
        });
    }
}

#[test]
fn a_proxy_that_keeps_connections_gets_the_absolute_address_of_every_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let (sender, targets) = channel();
    std::thread::spawn(move || keep_answering(&listener, &sender));
    let mut client = client(&format!("http = 'http://{proxy}'"));
    for url in ["http://responder.invalid/a", "http://responder.invalid/b"] {
        assert_eq!(ask(&mut client, url, &Message::Get).unwrap().body, b"x");
        assert_eq!(targets.recv_timeout(wait::limit()).as_deref(), Ok(url));
    }
}
