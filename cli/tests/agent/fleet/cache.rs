//! The way without a store: docs/fleet.md's nginx, which makes one request of many.

use staplegun_testkit::program::Program;
use staplegun_testkit::{Directory, Response};

use super::Scene;
use crate::support::PATIENT;

/// The block of docs/fleet.md that begins so.
fn block(begin: &str) -> String {
    let page = include_str!("../../../../docs/fleet.md");
    let blocks = page.split("```").skip(1).step_by(2);
    let mut found = blocks.filter(|block| block.trim_start().starts_with(begin));
    found.next().expect("the page has it").to_owned()
}

#[test]
fn behind_the_documented_cache_many_agents_make_one_request_for_each_certificate() {
    let scene = Scene::new(3);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let directory = Directory::new();
    let path = |name: &str| directory.join(name).display().to_string();
    let nginx = Program::start_on_free_port(|port| {
        let servers = block("proxy_cache_path")
            .replace("/var/cache/nginx/ocsp", &path("cache"))
            .replace("listen 3128", &format!("listen 127.0.0.1:{port}"))
            .replace("10.0.0.0/8", "127.0.0.0/8");
        let configuration = format!(
            "daemon off; user root; pid {}; error_log stderr; events {{ }}\nhttp {{\n\
             access_log off; client_body_temp_path {}; proxy_temp_path {};\n{servers}\n}}\n",
            path("pid"),
            path("body"),
            path("temporary")
        );
        let file = directory.write("nginx.conf", configuration);
        Program::new("nginx").arg("-c").arg(file)
    });
    let proxy = format!(
        "{PATIENT}[proxy]\nhttp = 'http://127.0.0.1:{}'\n",
        nginx.port()
    );
    let (_machines, agents) = scene.machines(5, &proxy);
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    assert_eq!(scene.requests(), 3);
}
