//! The status_request family and the control functions: any sequence of valid
//! calls, each answer held against the contract, on a real libssl.
//!
//! A world has one server's and one client's context, and SSLs of both. The bytes
//! of the input say what is done next; what the contract says of an object is kept
//! beside it. Commands that are none of ours are given to a twin as well, which the
//! library never sees, and must answer alike.

use crate::connection::Connection;
use crate::context::Ctx;
use crate::handshake::{self, Side};
use crate::libssl::LIBSSL;
use crate::take::Take;

/// The most SSLs at once.
const SSLS: usize = 6;

struct World {
    server: Ctx,
    client: Ctx,
    connections: Vec<Connection>,
}

/// Plays the input through.
pub fn run(data: &[u8]) {
    let mut input = Take(data);
    let mut world = World::new();
    while !input.0.is_empty() {
        world.step(&mut input);
    }
}

impl World {
    fn new() -> Self {
        Self {
            server: Ctx::new(true),
            client: Ctx::new(false),
            connections: Vec::new(),
        }
    }

    fn step(&mut self, input: &mut Take) {
        let what = input.byte();
        let is_server = what & 0x80 != 0;
        let chosen = usize::from(input.byte()).checked_rem(self.connections.len());
        match (what & 0x7f) % 12 {
            0 | 1 => self.open(is_server),
            2 => self.ctx(is_server).family(input),
            3 => self.ctx(is_server).pass(input),
            4 => self.shake_hands(input),
            5 => chosen
                .into_iter()
                .for_each(|at| self.connections[at].pass(input)),
            6 => chosen
                .into_iter()
                .for_each(|at| drop(self.connections.swap_remove(at))),
            7 => chosen.into_iter().for_each(|at| self.duplicate(at)),
            _ => chosen
                .into_iter()
                .for_each(|at| self.connections[at].family(input)),
        }
    }

    fn ctx(&mut self, is_server: bool) -> &mut Ctx {
        if is_server {
            &mut self.server
        } else {
            &mut self.client
        }
    }

    fn open(&mut self, is_server: bool) {
        if self.connections.len() == SSLS {
            return;
        }
        let ctx = self.ctx(is_server);
        // SAFETY: both contexts are valid.
        let (raw, twin) = unsafe { ((LIBSSL.SSL_new)(ctx.raw), (LIBSSL.SSL_new)(ctx.twin)) };
        let status_type = ctx.status_type;
        self.connections.push(Connection {
            raw,
            twin,
            is_server,
            status_type,
            response: None,
        });
    }

    /// A copy has the context's type, and no response.
    fn duplicate(&mut self, at: usize) {
        if self.connections.len() == SSLS {
            return;
        }
        let Connection {
            raw,
            twin,
            is_server,
            ..
        } = self.connections[at];
        let status_type = self.ctx(is_server).status_type;
        // SAFETY: both SSLs are valid, and no handshake has begun on them.
        let (raw, twin) = unsafe { ((LIBSSL.SSL_dup)(raw), (LIBSSL.SSL_dup)(twin)) };
        self.connections.push(Connection {
            raw,
            twin,
            is_server,
            status_type,
            response: None,
        });
    }

    /// A handshake between the first SSL of each side, which are freed after it.
    fn shake_hands(&mut self, input: &mut Take) {
        let first = |world: &Self, is_server| {
            world
                .connections
                .iter()
                .position(|one| one.is_server == is_server)
        };
        let Some(server) = first(self, true) else {
            return;
        };
        let server = self.connections.swap_remove(server);
        let Some(client) = first(self, false) else {
            return;
        };
        let client = self.connections.swap_remove(client);
        let side = |ssl, ctx: &Ctx| Side {
            ssl,
            answer: ctx.answer,
            argument: ctx.argument,
        };
        let own = server.response.map(|(start, length)| {
            // SAFETY: the response is the program's, borrowed until the SSL is freed.
            unsafe { std::slice::from_raw_parts(start, length) }.to_vec()
        });
        let asked = client.status_type == 1;
        let (servers, clients) = (
            side(server.raw, &self.server),
            side(client.raw, &self.client),
        );
        handshake::run(servers, clients, asked, own, input.byte() & 1 == 1);
    }
}
