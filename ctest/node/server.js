// A server of the kind that is named, for ctest/node/run: prints its port when it listens.
//
//     node server.js KIND DIRECTORY-WITH-CERTIFICATES
'use strict';
const cluster = require('cluster');
const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const https = require('https');
const tls = require('tls');
const worker = require('worker_threads');

const [kind, pki] = process.argv.slice(2);
const read = (name) => fs.readFileSync(pki + '/' + name);
const pair = (name) => ({ cert: read(name + '.pem'), key: read(name + '.key') });
const hello = (_, response) => response.end('hello');
const listen = (server) => server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
const byName = (name, done) => done(null, name === 'other.test' ? tls.createSecureContext(pair('other')) : null);
const own = (response) => {
  const server = https.createServer(pair('server'), hello);
  server.on('OCSPRequest', (_, __, done) => done(null, response && read(response)));
  return server;
};

const kinds = {
  https: () => listen(https.createServer(pair('server'), hello)),
  http2: () => listen(http2.createSecureServer({ ...pair('server'), allowHTTP1: true }, hello)),
  tls: () => listen(tls.createServer(pair('server'), (socket) => socket.on('error', () => {}).write('hello'))),
  pfx: () => listen(https.createServer({ pfx: read('server.p12'), passphrase: 'x' }, hello)),
  SNICallback: () => listen(https.createServer({ ...pair('server'), SNICallback: byName }, hello)),
  addContext: () => {
    const server = https.createServer(pair('server'), hello);
    server.addContext('other.test', pair('other'));
    listen(server);
  },
  // By its name, as `import` has it.
  imported: () => import('./imported.mjs').then((module) => listen(module.make(pair, hello))),
  setSecureContext: () => {
    const server = https.createServer(pair('other'), hello);
    server.listen(0, '127.0.0.1', () => {
      server.setSecureContext(pair('server'));
      console.log('port ' + server.address().port);
    });
  },
  cluster: () => (cluster.isWorker ? kinds.https() : cluster.fork()),
  worker: () => (worker.isMainThread
    ? new worker.Worker(__filename, { argv: process.argv.slice(2) })
    : kinds.https()),
  own: () => listen(own('second.der')),
  'own, that has nothing': () => listen(own(null)),
  // Which of them a client is shown is decided after the program is asked for a response.
  'two keys': () => listen(https.createServer({
    cert: [read('rsa.pem'), read('server.pem')], key: [read('rsa.key'), read('server.key')],
  }, hello)),
  // What a program may do to what everybody uses.
  hostile: () => {
    const server = https.createServer(pair('server'), hello);
    const fail = () => { throw new Error('not as it was'); };
    for (const name of Object.keys(fs)) if (Object.getOwnPropertyDescriptor(fs, name).writable) fs[name] = fail;
    tls.createSecureContext = fail;
    listen(server);
    Map.prototype.get = Array.prototype.concat = Array.prototype.includes = fail;
    crypto.createHash = fail;
  },
  // A pool of one thread, taken for a long time.
  'busy pool': () => {
    const busy = () => crypto.pbkdf2('a', 'b', 1e9, 64, 'sha512', busy);
    const server = https.createServer(pair('server'), hello);
    server.listen(0, '127.0.0.1', () => {
      busy();
      console.log('port ' + server.address().port);
    });
  },
  // What others see of a server: no listener that the program does not have.
  seen: () => {
    const server = https.createServer(pair('server'), hello);
    const seen = [server.eventNames().includes('OCSPRequest'), server.listeners('OCSPRequest').length,
      Object.keys(server).includes('emit'), Object.keys(tls.Server.prototype).includes('emit'),
      tls.createSecureContext.name, tls.createSecureContext.length];
    console.log('seen ' + JSON.stringify(seen));
    process.exit(0);
  },
};
kinds[kind]();
