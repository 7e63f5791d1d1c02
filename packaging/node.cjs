// Staples in Node.js whose OpenSSL is inside the program, where no preloaded library comes:
//
//     NODE_OPTIONS='--require /usr/share/staplegun/node.cjs'
//
// Every server of tls, https and http2 answers the event 'OCSPRequest' with what the agent
// shows in live/ (setting `live-files`), unless the program has a listener of its own for it;
// and each certificate that a context is made with is left in the spool for the agent.
//
// A guest in the program: whatever is amiss here is a handshake without a staple, never an error,
// and a handshake never waits longer than PATIENCE for a file. Nothing is read that others than
// root, the agent and the process's own user could have written. What is used is taken when this
// is loaded, so that what the program does to its modules later does not matter; the syntax is
// such that old versions can read it, for a file that cannot be read keeps Node.js from starting.
'use strict';

try { (() => {
  // Milliseconds: for how long what was read counts without another look, how long a handshake
  // waits for one, and for how long it counts if the process has no descriptor left to look.
  const LOOK = 1000;
  const PATIENCE = 250;
  const KEPT = 10000;
  const POLL = 10;
  // Bytes of a response and of a file in the spool; certificates that are remembered, and left.
  const LARGEST = 65536;
  const MOST = 4096;
  const MOST_LEFT = 1000;
  const OTHERS = 0o022;
  const STICKY = 0o1000;
  const SERVER_USES = ['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'];

  const crypto = require('crypto');
  const fs = require('fs');
  const tls = require('tls');
  const { createHash, randomBytes, X509Certificate } = crypto;
  const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = fs.constants;
  const { setTimeout, clearTimeout } = global;
  const { geteuid, hrtime, env } = process;
  const now = Date.now;
  const apply = Reflect.apply;
  // Both ways to call each function of fs that is needed.
  const calls = {};
  for (const name of ['lstat', 'open', 'fstat', 'read', 'write', 'fchmod', 'close', 'rename', 'unlink']) {
    calls[name] = { later: fs[name], now: fs[name + 'Sync'] };
  }

  const directory = /^\//.test(env.STAPLEGUN_DIR || '') ? env.STAPLEGUN_DIR : '/run/staplegun';
  const parents = ['/'];
  for (const name of directory.split('/')) {
    if (name !== '' && name !== '.') parents.push(parents[parents.length - 1].replace(/\/$/, '') + '/' + name);
  }
  const base = parents[parents.length - 1];
  let left = 0;
  let rounds = Math.min(300, parseInt(env.STAPLEGUN_WAIT, 10) || 0) * 1000 / POLL;

  function milliseconds() {
    const time = hrtime();
    return time[0] * 1000 + time[1] / 1e6;
  }

  // A task is a generator that yields calls of fs and is given their results. Where a context is
  // made it runs at once, as the user that the program is then and before it listens.
  function atOnce(task) {
    let step = task.next();
    while (!step.done) {
      let result;
      try {
        result = apply(calls[step.value[0]].now, fs, step.value.slice(1));
      } catch (error) {
        step = task.throw(error);
        continue;
      }
      step = task.next(result);
    }
    return step.value;
  }

  // In a handshake it runs beside the program, one task after another, so that a file system that
  // hangs costs one thread of the pool.
  const queue = [];
  let isBusy = false;
  function later(task, done) {
    queue.push([task, done]);
    if (!isBusy) next();
  }
  function next() {
    const first = queue.shift();
    isBusy = first !== undefined;
    if (isBusy) advance(first[0], first[1], undefined, undefined);
  }
  function advance(task, done, error, result) {
    let step;
    try {
      step = error ? task.throw(error) : task.next(result);
      if (!step.done) {
        const after = (error, result) => advance(task, done, error, result);
        apply(calls[step.value[0]].later, fs, step.value.slice(1).concat(after));
        return;
      }
    } catch (_) {}
    done(step && step.value);
    next();
  }

  // The mounts of this process, as long as it lives: where each begins, its device, and whether
  // it is read-only here.
  function mounts() {
    const found = [];
    // Who was not told of the store goes by owners alone, as the library does.
    if (env.STAPLEGUN_DIR !== directory) return found;
    for (const line of fs.readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
      const words = line.split(' ');
      if (words.length < 7) continue;
      const numbers = words[2].split(':').map(Number);
      const at = Buffer.from(words[4].replace(/\\([0-7]{3})/g,
        (_, octal) => String.fromCharCode(parseInt(octal, 8))), 'latin1').toString();
      found.push({
        at: at === '/' ? '' : at,
        device: numbers[0] * 256 + numbers[1] % 256 + (numbers[1] - numbers[1] % 256) * 4096,
        isReadOnly: words[5].split(',').includes('ro'),
      });
    }
    return found;
  }
  let mounted = [];
  try {
    mounted = mounts();
  } catch (_) {}

  // In a container owners and modes tell little; there a mount that is read-only in it vouches
  // for what lies on it, as for the live map: whoever mounts it decides what runs there.
  function isVouched(path, about) {
    let mount;
    for (const one of mounted) {
      const isAbove = path === one.at || path.startsWith(one.at + '/');
      if (isAbove && (!mount || one.at.length >= mount.at.length)) mount = one;
    }
    return mount !== undefined && mount.isReadOnly && mount.device === about.dev;
  }

  function mayWrite(uid) {
    return uid === 0 || uid === geteuid();
  }

  // As for the live map: root's or our own, and for nobody else to write, from the root down.
  // Returns whether nobody at all may put something of his into the last one.
  function* judge() {
    let isSticky = false;
    for (const path of parents) {
      const about = yield ['lstat', path];
      if (about.isDirectory() && isVouched(path, about)) {
        isSticky = false;
        continue;
      }
      isSticky = (about.mode & OTHERS) !== 0;
      if (!about.isDirectory() || !mayWrite(about.uid) || (isSticky && !(about.mode & STICKY))) {
        throw new Error('untrusted');
      }
    }
    return !isSticky;
  }

  // What may be stapled now, and until when. live/ itself is the agent's, whose user we need not
  // know: nobody but root or ourselves could have made it.
  function* read(name) {
    const isClosed = yield* judge();
    const live = yield ['lstat', base + '/live'];
    const isOnVouched = isVouched(base + '/live', live);
    const isTheirs = live.mode & OTHERS || !(isClosed || mayWrite(live.uid));
    if (!live.isDirectory() || (isTheirs && !isOnVouched)) return null;
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    const file = yield ['open', base + '/live/' + name + '.der', flags, 0];
    try {
      const about = yield ['fstat', file];
      const isOurs = mayWrite(about.uid) || about.uid === live.uid;
      const isSafe = isOnVouched && about.dev === live.dev || isOurs && !(about.mode & OTHERS);
      if (!about.isFile() || !isSafe) return null;
      if (about.size < 1 || about.size > LARGEST) return null;
      const der = Buffer.alloc(about.size);
      for (let had = 0; had < about.size;) {
        const more = yield ['read', file, der, had, about.size - had, null];
        if (more === 0) return null;
        had += more;
      }
      return { der, end: about.mtimeMs };
    } finally {
      yield ['close', file];
    }
  }

  // Leaves the certificate, and its issuer if that is known, in the spool: whole, or not at all.
  function* leave(name, certificates) {
    yield* judge();
    const spool = base + '/spool/';
    if (!(yield ['lstat', base + '/spool']).isDirectory()) return;
    const whole = name + '.' + geteuid() + '.' + randomBytes(8).toString('hex');
    const partial = spool + '.' + whole;
    const file = yield ['open', partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600];
    try {
      try {
        for (let had = 0; had < certificates.length;) {
          had += yield ['write', file, certificates, had, certificates.length - had, null];
        }
        // Whatever the umask: the agent is another user.
        yield ['fchmod', file, 0o644];
      } finally {
        yield ['close', file];
      }
      yield ['rename', partial, spool + whole];
    } catch (error) {
      yield ['unlink', partial];
      throw error;
    }
  }

  // What is known of each certificate, by its SHA-256: the oldest is forgotten.
  const leaves = new Map();

  function remember(name) {
    let leaf = leaves.get(name);
    if (!leaf) {
      if (leaves.size >= MOST) leaves.delete(leaves.keys().next().value);
      leaf = { name, isOne: true, told: 0, der: null, end: 0, seen: -Infinity, waiting: null, isLate: false };
      leaves.set(name, leaf);
    }
    return leaf;
  }

  function saw(leaf, found) {
    leaf.der = found ? found.der : null;
    leaf.end = found ? found.end : 0;
    leaf.seen = milliseconds();
  }

  // Reads once more; what a lack of descriptors or memory says of a file is nothing.
  function* look(leaf) {
    try {
      saw(leaf, yield* read(leaf.name));
    } catch (error) {
      if (!['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes(error.code)) saw(leaf, null);
    }
  }

  function staple(leaf) {
    const isInTime = now() < leaf.end && milliseconds() - leaf.seen <= KEPT;
    return isInTime ? leaf.der : null;
  }

  // Whether a server may use it; the agent looks at the rest.
  function isForServers(der) {
    if (typeof X509Certificate !== 'function') return true;
    const about = new X509Certificate(der);
    const uses = about.keyUsage;
    return !about.ca && (!uses || uses.some((use) => SERVER_USES.includes(use)));
  }

  function sum(certificate) {
    return createHash('sha256').update(certificate).digest('hex');
  }

  function count(given) {
    return Array.isArray(given) ? given.length : given ? 1 : 0;
  }

  // A context was made.
  function loaded(context, options) {
    const certificate = context.context.getCertificate();
    if (!certificate) return;
    const leaf = remember(sum(certificate));
    // Which of several a handshake will present is not known when the response has to be.
    if (options && count(options.cert) + count(options.pfx) > 1) leaf.isOne = false;
    if (!leaf.isOne) return;
    if (milliseconds() - leaf.seen > LOOK) atOnce(look(leaf));
    if (!staple(leaf)) tell(leaf, certificate, context.context.getIssuer());
  }

  // Once, and once more when its issuer is known.
  function tell(leaf, certificate, issuer) {
    const told = issuer ? 2 : 1;
    if (leaf.told >= told || left >= MOST_LEFT) return;
    leaf.told = told;
    if (!isForServers(certificate)) return;
    const both = issuer ? Buffer.concat([certificate, issuer]) : certificate;
    if (both.length > LARGEST) return;
    left += 1;
    atOnce(leave(leaf.name, both));
    // STAPLEGUN_WAIT: a start waits for the agent, until the first handshake.
    for (; rounds > 0 && !staple(leaf); rounds -= 1) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL);
      atOnce(look(leaf));
    }
  }

  // A handshake asks; `done` is called once.
  function answer(certificate, done) {
    rounds = 0;
    const leaf = certificate && leaves.get(sum(certificate));
    if (!leaf || !leaf.isOne) return done(null);
    if (leaf.isLate || milliseconds() - leaf.seen <= LOOK) return done(staple(leaf));
    if (leaf.waiting) {
      leaf.waiting.push(done);
      return;
    }
    leaf.waiting = [done];
    const release = () => {
      const waiting = leaf.waiting || [];
      leaf.waiting = null;
      for (const done of waiting) done(staple(leaf));
    };
    const timer = setTimeout(() => {
      leaf.isLate = true;
      release();
    }, PATIENCE);
    timer.unref();
    later(look(leaf), () => {
      clearTimeout(timer);
      leaf.isLate = false;
      release();
    });
  }

  // Debian's Node.js takes OpenSSL from the system: where the library is in it, that staples.
  function hasLibrary() {
    if (!process.config.variables.node_shared_openssl) return false;
    return fs.readFileSync('/proc/self/maps', 'latin1').includes('/libstaplegun');
  }

  function install() {
    const mark = Symbol.for('staplegun');
    if (tls[mark] || env.STAPLEGUN_DISABLE === '1' || env.STAPLEGUN_SERVER === 'off' || hasLibrary()) return;
    const prototype = tls.Server.prototype;
    // Looked up at each call: others patch these, too.
    const inherited = (name) => Object.getPrototypeOf(prototype)[name];
    const has = (server) => apply(inherited('listenerCount'), server, ['OCSPRequest']) > 0;
    const methods = {
      // Node.js looks for whoever needs an answer only if there is a listener.
      listenerCount(event) {
        const result = apply(inherited('listenerCount'), this, arguments);
        return event === 'OCSPRequest' && arguments.length === 1 && result === 0 ? 1 : result;
      },
      emit(event, certificate, issuer, callback) {
        if (event !== 'OCSPRequest' || has(this)) return apply(inherited('emit'), this, arguments);
        let isDone = false;
        const done = (response) => {
          if (isDone) return;
          isDone = true;
          try {
            callback(null, response);
          } catch (_) {}
        };
        try {
          answer(certificate, done);
        } catch (_) {
          done(null);
        }
        return true;
      },
    };
    const makes = tls.createSecureContext;
    const createSecureContext = function createSecureContext(options) {
      const context = apply(makes, this, arguments);
      try {
        loaded(context, options);
      } catch (_) {}
      return context;
    };
    for (const name of ['emit', 'listenerCount']) {
      Object.defineProperty(prototype, name, {
        value: methods[name], writable: true, configurable: true, enumerable: false,
      });
    }
    tls.createSecureContext = createSecureContext;
    Object.defineProperty(tls, mark, { value: true });
  }

  install();
})(); } catch (_) {}
